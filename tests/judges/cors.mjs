// Pages of several origins ask the judged server for answers: what they get to see, as JSON.
//
// usage: PLAYWRIGHT=DIRECTORY node cors.mjs CHROMIUM PORT KEY-HASH h1|h2
//
// Every host is this server, at whatever port: pages and answers differ by origin alone. What the
// browser asked for on the way stands in the server's access log, which is not read here: `asked`
// says what must be there, by the query that is a case's own.
import { checks, launch, report, within } from "./browser.mjs";
import { CASES, HOST_OF } from "./cors_cases.mjs";

const [executablePath, port, keyHash, protocol] = process.argv.slice(2);
const TIMEOUT_MS = 20_000;

const lists = checks();
const asked = [];

// Runs in a page or a frame. What a script gets to see of an answer, or that it sees nothing.
async function fetchInPage([address, options]) {
  try {
    const answer = await fetch(address, { cache: "no-store", credentials: "omit", ...options });
    return {
      status: answer.status,
      type: answer.type,
      redirected: answer.redirected,
      fields: Object.fromEntries(answer.headers),
      body: (await answer.text()).slice(0, 400),
    };
  } catch (error) {
    return { status: error instanceof TypeError ? "nothing" : String(error) };
  }
}

// Runs in a page: a frame whose origin is opaque, so that it says `Origin: null`.
async function addFrame() {
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts";
  frame.srcdoc = "<!doctype html><title>null</title>";
  const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
  document.body.append(frame);
  await loaded;
}

async function pageOf(origin, context, kept) {
  const isOpaque = origin === "null";
  if (!kept.has(origin)) {
    const page = await context.newPage();
    const from = isOpaque ? HOST_OF.page : origin;
    await page.goto(`${from}/page.html`, { timeout: TIMEOUT_MS });
    if (isOpaque) await page.evaluate(addFrame);
    kept.set(origin, isOpaque ? page.frames()[1] : page);
  }
  return kept.get(origin);
}

// A step visits an address as a person does, or fetches it from the page of an origin.
async function take(step, query, context, kept) {
  const address = `${step.to ?? HOST_OF.api}${step.path}?${query}`;
  if (step.visit) {
    const page = await context.newPage();
    const answer = await page.goto(address.replace("https://", `https://${step.visit}@`),
      { timeout: TIMEOUT_MS });
    await page.close();
    return { status: answer.status(), fields: {} };
  }
  const page = await pageOf(step.from ?? HOST_OF.page, context, kept);
  return page.evaluate(fetchInPage, [address, step.options ?? {}]);
}

async function judge(one, number, browser) {
  const context = await browser.newContext();
  const kept = new Map();
  const query = `case=${number}`;
  try {
    const seen = [];
    for (const step of one.steps) {
      seen.push(await within(take(step, query, context, kept), TIMEOUT_MS, one.name));
    }
    const wrong = one.steps.flatMap(({ sees, has, lacks, but }, index) => {
      const { status, fields, ...rest } = seen[index];
      const isRight = status === sees
        && Object.entries(has ?? {}).every(([name, value]) => value.test(fields[name] ?? ""))
        && (lacks ?? []).every((name) => !(name in fields))
        && (but === undefined || but(rest));
      return isRight ? [] : [{ step: index + 1, sees, found: seen[index] }];
    });
    lists.check(`${one.name} (Fetch, ${one.section})`, wrong.length === 0, wrong);
    asked.push({ name: one.name, query, reaches: one.reaches });
  } finally {
    await context.close();
  }
}

const browser = await launch(executablePath, keyHash, protocol, [
  `--host-resolver-rules=MAP *.judge.test 127.0.0.1:${port}`,
]);
await report(browser, lists, async () => {
  for (const [number, one] of CASES.entries()) await judge(one, number, browser);
  return { asked };
});
