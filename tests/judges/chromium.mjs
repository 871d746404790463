// A browser visits the judged server: checks of its answers and of the sample site, as JSON.
//
// usage: PLAYWRIGHT=DIRECTORY node chromium.mjs CHROMIUM BASE-URL KEY-HASH h1|h2
import { checks, launch, report } from "./browser.mjs";
import { visitSample } from "./sample.mjs";

const [executablePath, base, keyHash, protocol] = process.argv.slice(2);

const WANTED = { h1: "http/1.1", h2: "h2" }[protocol];
const TIMEOUT_MS = 20_000;
const LARGE_BYTES = 1 << 20;
const STYLE_BYTES = 3450;
const AT_ONCE = 100;

const lists = checks();
const { check } = lists;

// Runs in the page: what fetch brought, and over which protocol.
async function fetchInPage([path, options]) {
  try {
    const answer = await fetch(path, { cache: "no-store", ...options });
    const body = await answer.arrayBuffer();
    const entry = performance.getEntriesByName(new URL(path, location).href).pop();
    return {
      status: answer.status,
      fields: Object.fromEntries(answer.headers),
      length: body.byteLength,
      protocol: entry?.nextHopProtocol,
    };
  } catch (error) {
    return { error: String(error) };
  }
}

async function fetchAtOnce([path, count]) {
  const one = async (index) => {
    const answer = await fetch(`${path}?${index}`, { cache: "no-store" });
    return (await answer.arrayBuffer()).byteLength;
  };
  return Promise.all(Array.from({ length: count }, (_, index) => one(index)));
}

async function visit(page) {
  const get = (path, options = {}) => page.evaluate(fetchInPage, [path, options]);

  const answer = await page.goto(`${base}/`, { timeout: TIMEOUT_MS });
  check("the page loads", answer.status() === 200, answer.status());
  const spoken = await page.evaluate(
    () => performance.getEntriesByType("navigation")[0].nextHopProtocol,
  );
  check("the page comes over the protocol", spoken === WANTED, spoken);

  let found = await get("/1m.bin");
  check("a body of 1 MiB", found.length === LARGE_BYTES, found);
  check("a fetch goes over the protocol", found.protocol === WANTED, found);
  found = await get("/64k.bin", { headers: { Range: "bytes=10-19" } });
  check("a range", found.status === 206 && found.length === 10, found);
  found = await get("/11.txt");
  const tag = found.fields?.etag;
  check("an entity tag", Boolean(tag), found);
  found = await get("/11.txt", { headers: { "If-None-Match": tag ?? '"none"' } });
  check("304 for what is known", found.status === 304, found);
  found = await get("/style.css");
  check("the type of a style sheet", /^text\/css/.test(found.fields?.["content-type"]), found);
  check("the length of a style sheet", found.length === STYLE_BYTES, found);
  found = await get("/nowhere");
  check("404", found.status === 404, found);
  const lengths = await page.evaluate(fetchAtOnce, ["/style.css", AT_ONCE]);
  const right = lengths.filter((length) => length === STYLE_BYTES).length;
  check(`${AT_ONCE} fetches at once`, right === AT_ONCE, right);
  found = await get("/", { method: "OPTIONS" });
  check("OPTIONS is answered", found.status < 500, found);
}

const browser = await launch(executablePath, keyHash, protocol);
await report(browser, lists, async () => {
  await visit(await browser.newPage());
  await visitSample(await browser.newPage(), base, check);
});
