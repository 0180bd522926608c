// The pages of the examples in a real browser: two people chat, a counter runs, a drawing is mirrored.
//
// usage: pages.mjs PAGE-URL SCREENSHOT-FOLDER
//
// The server runs the handlers chat, increment and mirror, each under its name, and serves examples/page at PAGE-URL.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { withBrowser } from './browser.mjs';

const [url, screenshots] = process.argv.slice(2);
const VIEW = { viewport: { width: 1200, height: 800 } };

await withBrowser(async (browser) => {
  const errors = [];
  // Two people: nothing is shared between their browsers.
  const person = async () => {
    const page = await (await browser.newContext(VIEW)).newPage();
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    return page;
  };
  const [ada, grace] = [await person(), await person()];
  const shot = (page, name) => page.screenshot({ path: join(screenshots, `${name}.png`) });

  await chat(ada, grace, shot);
  await testServer(ada, grace, shot);

  await ada.goto(url);
  await ada.locator('#chat-link').waitFor();
  await shot(ada, 'home');
  await ada.click('#test-server-link');
  await ada.locator('#counter').waitFor();
  assert.deepEqual(errors, [], 'the pages report no errors');
  console.log(`chromium ${browser.version()}: passed, screenshots in ${screenshots}`);
});

async function chat(ada, grace, shot) {
  const enter = async (page, name) => {
    await page.goto(`${url}chat.html`);
    await page.locator('#status[data-state=open]').waitFor();
    await page.fill('#name', name);
    await page.fill('#room', 'tea');
    await page.click('#join');
  };
  const say = async (page, text) => {
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
  };
  const seen = (page, text) => page.locator('#log li', { hasText: text }).first().waitFor();

  await enter(ada, 'Ada');
  await seen(ada, 'You are in #tea as Ada');
  await enter(grace, 'Ada');
  await grace.locator('#error', { hasText: 'has that name' }).waitFor();
  await enter(grace, 'Grace');
  await seen(ada, 'Grace came in');
  for (const page of [ada, grace]) {
    assert.deepEqual((await page.locator('#who li > span:last-child').allInnerTexts()).map((name) => name.split(/\s/)[0]), ['Ada', 'Grace']);
  }
  await say(ada, 'Hello Grace, do you see this?');
  await seen(grace, 'do you see this?');
  await say(grace, 'I do. <b>And this is no markup</b>: 世界 🎉');
  await seen(ada, '<b>And this is no markup</b>: 世界 🎉');
  await shot(ada, 'chat');

  await grace.click('#leave');
  await seen(ada, 'Grace left');
  await enter(grace, 'Grace');
  await seen(grace, 'You are in #tea as Grace');
  // A page that goes away leaves as well.
  await grace.goto('about:blank');
  await ada.locator('#log li', { hasText: 'Grace left' }).nth(1).waitFor();
}

async function testServer(ada, grace, shot) {
  const opened = async (page) => {
    await page.goto(`${url}test-server.html`);
    await page.locator('#increment-status[data-state=open]').waitFor();
    await page.locator('#mirror-status[data-state=open]').waitFor();
  };
  await opened(ada);
  await opened(grace);

  const count = async (page) => Number(await page.innerText('#counter'));
  const runsTo = (page, number) => page.waitForFunction((number) => Number(document.getElementById('counter').textContent) >= number, number);
  await runsTo(ada, 40);
  await runsTo(grace, 10);
  await ada.click('#reset');
  await ada.waitForFunction(() => Number(document.getElementById('counter').textContent) < 20);
  assert.ok((await count(grace)) >= 10, 'the counter of the other page runs on');

  const ink = (page) =>
    page.evaluate(() => {
      const canvas = document.getElementById('canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let painted = 0;
      for (let at = 3; at < data.length; at += 4) painted += data[at] > 0;
      return painted;
    });
  const inkOf = (page, test) =>
    page.waitForFunction(
      (test) => {
        const canvas = document.getElementById('canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let painted = 0;
        for (let at = 3; at < data.length; at += 4) painted += data[at] > 0;
        return test === 'some' ? painted > 500 : painted === 0;
      },
      test,
    );
  const stroke = async (page, points) => {
    const box = await page.locator('#canvas').boundingBox();
    const [first, ...rest] = points.map(([x, y]) => [box.x + x * box.width, box.y + y * box.height]);
    await page.mouse.move(...first);
    await page.mouse.down();
    for (const point of rest) {
      await page.mouse.move(...point, { steps: 8 });
    }
    await page.mouse.up();
  };

  await ada.click('#clear');
  await inkOf(grace, 'none');
  await stroke(ada, [[0.1, 0.7], [0.25, 0.2], [0.4, 0.7], [0.16, 0.5]]);
  await inkOf(grace, 'some');
  await grace.check('#color-red');
  await stroke(grace, [[0.6, 0.3], [0.7, 0.75], [0.85, 0.25], [0.9, 0.75]]);
  await inkOf(ada, 'some');
  // The same lines come to both, in one order.
  await ada.waitForFunction((painted) => {
    const canvas = document.getElementById('canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let here = 0;
    for (let at = 3; at < data.length; at += 4) here += data[at] > 0;
    return here === painted;
  }, await settled(grace, ink));
  await shot(grace, 'test-server');
  await ada.click('#clear');
  await inkOf(grace, 'none');
}

// The value once two readings in a row are the same.
async function settled(page, read) {
  let last;
  for (;;) {
    const next = await read(page);
    if (next === last) {
      return next;
    }
    last = next;
    await page.waitForTimeout(200);
  }
}
