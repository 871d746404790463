// Headless Chromium for the scripts of this directory, and what they have in common.
import { createRequire } from "node:module";

const { chromium } = createRequire(`${process.env.PLAYWRIGHT}/`)("playwright-core");

const LAUNCHES_MAX = 3;

// KEY-HASH is the SHA-256 of the certificate's key in base64. The browser trusts that key alone, so
// everything works as with a certificate from an authority.
export async function launch(executablePath, keyHash, protocol, more = []) {
  const options = {
    executablePath,
    args: [
      "--no-sandbox", // Root has none; it visits this one server only.
      "--disable-gpu",
      "--disable-quic",
      "--disable-background-networking",
      "--disable-component-update",
      ...(keyHash ? [`--ignore-certificate-errors-spki-list=${keyHash}`] : []),
      ...(protocol === "h1" ? ["--disable-http2"] : []),
      ...more,
    ],
  };
  // On a busy machine it may die before it has begun: that says nothing about the server.
  for (let tries = 1; ; tries += 1) {
    try {
      return await chromium.launch(options);
    } catch (error) {
      if (tries === LAUNCHES_MAX) throw error;
    }
  }
}

// Lists of what was right and what was not, and the function that adds to them.
export function checks() {
  const passed = [];
  const failed = [];
  const check = (name, isRight, found) => {
    if (isRight) passed.push(name);
    else failed.push(`${name}: ${JSON.stringify(found)}`);
  };
  return { passed, failed, check };
}

// Rejects when `promise` takes longer than `ms`.
export function within(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took too long`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Runs `visits` in the browser, ends it, and prints the lists with whatever they add.
export async function report(browser, { passed, failed }, visits) {
  let more = {};
  try {
    more = await visits();
  } catch (error) {
    failed.push(`the visit broke off: ${String(error.stack ?? error).slice(0, 600)}`);
  } finally {
    const version = browser.version();
    await browser.close();
    console.log(JSON.stringify({ passed, failed, version, ...more }));
  }
}
