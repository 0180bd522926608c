// Starts Chromium for the browser tests.
import { load } from './packages.mjs';

const { chromium } = load('playwright-core');

// Runs `body` with a browser and closes it whatever happens.
export async function withBrowser(body) {
  const executablePath = process.env.WSRUN_CHROMIUM;
  if (!executablePath) {
    throw new Error('there is no Chromium: run scripts/test-environment');
  }
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--ignore-certificate-errors', '--disable-dev-shm-usage'],
  });
  try {
    await body(browser);
  } finally {
    await browser.close();
  }
}
