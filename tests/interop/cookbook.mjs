// The pages of the cookbook in a real browser.
//
// usage: cookbook.mjs RECONNECTING-URL COOKIE-URL
//
// The first is the page of docs/cookbook/reconnecting.md on a server that echoes, the second that of the cookie handler, whose password is
// `open sesame`.
import assert from 'node:assert/strict';
import { withBrowser } from './browser.mjs';

const [reconnecting, cookie] = process.argv.slice(2);

await withBrowser(async (browser) => {
  const page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  const echoed = page.waitForEvent('console', (message) => message.text() === 'hello');
  await page.goto(reconnecting);
  await echoed;

  await page.goto(cookie);
  const logIn = async (password) => {
    await page.fill('[name=name]', 'ann');
    await page.fill('[name=password]', password);
    await page.click('button');
  };
  const seen = (text) => page.locator('pre', { hasText: text }).waitFor();
  await logIn('open says me');
  await seen('a wrong name or password');
  await logIn('open sesame');
  await seen('ann: hello');
  assert.equal(await page.evaluate('document.cookie'), '', 'scripts do not see the cookie');
});
