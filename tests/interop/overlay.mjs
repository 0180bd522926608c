// A page of a project under `wsrun dev` in a real browser, open twice: two people talk, what the build complains of is seen over the page until
// it is mended, and no connection is closed in all that time.
//
// usage: overlay.mjs PAGE-URL SOURCE SCREENSHOT-FOLDER
//
// PAGE-URL is the page of a chat in Rust, SOURCE its src/lib.rs.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withBrowser } from './browser.mjs';

const [url, source, screenshots] = process.argv.slice(2);
const BUILD_MS = 120_000;

await withBrowser(async (browser) => {
  const errors = [];
  let closed = 0;
  const enter = async (name) => {
    const page = await (await browser.newContext({ viewport: { width: 1000, height: 700 } })).newPage();
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    page.on('websocket', (socket) => socket.on('close', () => (closed += 1)));
    await page.goto(url);
    await page.locator('#status', { hasText: /^connected$/ }).waitFor();
    await page.fill('#name', name);
    await page.fill('#room', 'tea');
    await page.locator('button', { hasText: 'Join' }).click();
    await seen(page, 'you are in tea');
    return page;
  };
  const seen = (page, text) => page.locator('#log li', { hasText: text }).first().waitFor();
  const say = async (page, text) => {
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
  };

  const page = await enter('Ada');
  const grace = await enter('Grace');
  const shot = (name) => page.screenshot({ path: join(screenshots, `overlay-${name}.png`) });
  await seen(page, 'Grace came in');
  await say(page, 'Hello <b>Grace</b>');
  await seen(grace, 'Ada: Hello <b>Grace</b>');
  await say(grace, 'Hello 世界');
  await seen(page, 'Grace: Hello 世界');

  const overlay = page.locator('#wsrun-overlay');
  assert.equal(await overlay.count(), 1);
  assert.equal(await overlay.isVisible(), false);

  const text = await readFile(source, 'utf8');
  await writeFile(source, `${text}\nfn broken( {\n`);
  await overlay.waitFor({ state: 'visible', timeout: BUILD_MS });
  const shown = await page.evaluate(() => document.querySelector('#wsrun-overlay').shadowRoot.querySelector('pre').textContent);
  assert.ok(shown.includes('src/lib.rs') && shown.includes('fn broken( {'), shown);
  await shot('error');
  await say(page, 'the old version is still here');
  await seen(grace, 'the old version is still here');

  // It can be put aside, and comes back with another error.
  await page.evaluate(() => document.querySelector('#wsrun-overlay').shadowRoot.querySelector('button').click());
  await overlay.waitFor({ state: 'hidden' });
  await writeFile(source, `${text}\nfn broken_again( {\n`);
  await overlay.waitFor({ state: 'visible', timeout: BUILD_MS });

  await writeFile(source, `${text}\n// Mended.\n`);
  await overlay.waitFor({ state: 'hidden', timeout: BUILD_MS });
  await say(page, 'mended');
  await seen(grace, 'mended');
  await shot('mended');
  assert.equal(closed, 0, 'no connection was closed');
  assert.deepEqual(errors, [], 'the pages report no errors');
  console.log(`chromium ${browser.version()}: passed, screenshots in ${screenshots}`);
});
