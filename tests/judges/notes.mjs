// People use the example of the guide, docs/examples/notes: what happens in their browsers, as JSON.
//
// usage: PLAYWRIGHT=DIRECTORY node notes.mjs CHROMIUM BASE-URL KEY-HASH h1|h2
import { checks, launch, report } from "./browser.mjs";

const [executablePath, base, keyHash, protocol] = process.argv.slice(2);
const TIMEOUT_MS = 10_000;
// More than are shown at once.
const MANY_NOTES = 25;
const MANY_REFUSED = 20;
const CLICKS_MAX = 20;
const LARGE = "x".repeat(70_000);
const MARKUP = "<img src=x onerror='document.title=1'>";
const TOKEN = "Bearer robot-of-the-notes";
// Whoever serves pages there may use the notes from them, says the example: without HTTPS.
const elsewhere = base.replace("127.0.0.1", "localhost");
const MAY_USE_FROM_ELSEWHERE = base.startsWith("http:");

const lists = checks();
const { check } = lists;

// The page in a browser of its own.
async function visitor(browser) {
  const context = await browser.newContext();
  context.setDefaultTimeout(TIMEOUT_MS);
  const page = await context.newPage();
  const said = [];
  page.on("console", (message) => {
    // An answer of 4xx is always told there.
    const isRefusal = message.text().startsWith("Failed to load resource");
    if (["error", "warning"].includes(message.type()) && !isRefusal) said.push(message.text());
  });
  page.on("pageerror", (error) => said.push(String(error)));
  await page.goto(base);
  const notes = () => page.locator("#list li");
  const titles = () => page.locator("#list h2").allTextContents();
  return { page, said, notes, titles };
}

async function logIn({ page }, fields) {
  if (fields.token) await page.click("summary");
  for (const [name, value] of Object.entries(fields)) await page.fill(`[name=${name}]`, value);
  await page.click("#login button");
}

async function write({ page }, fields) {
  for (const [name, value] of Object.entries(fields)) await page.fill(`#editor [name=${name}]`, value);
  await page.click("#save");
}

const saved = ({ page }) => page.waitForSelector("#editor", { state: "hidden" });
const edit = async ({ page, notes }) => {
  await notes().first().locator(".edit").click();
  await page.waitForSelector("#editor", { state: "visible" });
};
const message = ({ page }) => page.locator("#message").innerText();

async function logsIn(ada) {
  const { page } = ada;
  await page.waitForSelector("#login", { state: "visible" });
  check("who is not known sees no notes", !await page.isVisible("#notes"), await page.innerHTML("main"));
  await logIn(ada, { name: "ada", password: "wrong" });
  await page.waitForSelector("#message", { state: "visible" });
  const told = await message(ada);
  check("a wrong password is refused", /does not know this login/.test(told)
    && await page.isVisible("#login"), told);
  await logIn(ada, { name: "ada", password: "difference" });
  await page.waitForSelector("#empty", { state: "visible" });
  check("the right one is not", await page.innerText("#who span") === "ada"
    && !await page.isVisible("#message"), await page.innerText("body"));
}

async function writes(ada) {
  const { page } = ada;
  await page.click("#add");
  await write(ada, { title: MARKUP, text: "first\nsecond" });
  await saved(ada);
  check("a note is added, and is text", (await ada.titles())[0] === MARKUP
    && await page.title() === "Notes", await ada.titles());
  await page.reload();
  await ada.notes().first().waitFor();
  check("it is there for who comes again", (await ada.titles())[0] === MARKUP, await ada.titles());
  await edit(ada);
  await write(ada, { title: "Edited", text: "third" });
  await saved(ada);
  check("it is edited", (await ada.titles())[0] === "Edited", await ada.titles());
  await edit(ada);
  await write(ada, { text: LARGE });
  await page.waitForSelector("#editor .fault", { state: "visible" });
  const told = await page.innerText("#editor .fault");
  check("one that is too large is refused", /too (large|long)|more than/i.test(told), told);
  await page.click("#cancel");
}

async function meet(ada, robot) {
  await logIn(robot, { token: TOKEN.replace("Bearer ", "") });
  await robot.notes().first().waitFor();
  check("a token will do", (await robot.titles())[0] === "Edited", await robot.titles());

  await edit(ada);
  await edit(robot);
  await write(robot, { title: "By the robot" });
  await saved(robot);
  await write(ada, { title: "By ada" });
  await ada.page.waitForSelector("#conflict", { state: "visible" });
  const theirs = await ada.page.innerText("#conflict b");
  check("who comes second sees what the first has written", theirs === "By the robot", theirs);
  await ada.page.click("#theirs");
  const taken = await ada.page.inputValue("#editor [name=title]");
  check("and may take it", taken === "By the robot", taken);
  await write(ada, { title: "By both" });
  await saved(ada);
  check("and go on from there", (await ada.titles())[0] === "By both", await ada.titles());

  await edit(robot);
  await edit(ada);
  await write(ada, { title: "By ada again" });
  await saved(ada);
  await write(robot, { title: "Last" });
  await robot.page.waitForSelector("#conflict", { state: "visible" });
  await robot.page.click("#save");
  await saved(robot);
  check("or write over it", (await robot.titles())[0] === "Last", await robot.titles());

  const remove = () => ada.notes().first().locator(".delete").click();
  await remove();
  await ada.page.waitForSelector("#message", { state: "visible" });
  check("what has changed meanwhile is not deleted", (await ada.titles())[0] === "Last"
    && /Changed meanwhile/.test(await message(ada)), [await ada.titles(), await message(ada)]);
  await remove();
  await ada.page.waitForSelector("#empty", { state: "visible" });
  check("what has been seen is", (await ada.titles()).length === 0, await ada.titles());
}

// Runs in a page: makes notes as another program would.
async function makeMany([address, authorization, count]) {
  const statuses = [];
  for (let number = 0; number < count; number += 1) {
    const answer = await fetch(address, {
      method: "POST",
      credentials: "omit",
      headers: { "Content-Type": "application/json", Authorization: authorization },
      body: JSON.stringify({ title: `Note ${number}`, text: "" }),
    });
    statuses.push(answer.status);
  }
  return statuses;
}

// Runs in a page: asks too often, until it is told that this is enough.
async function askOften([address, authorization]) {
  globalThis.refused = 0;
  const one = async () => {
    const answer = await fetch(address, {
      cache: "no-store", credentials: "omit", headers: { Authorization: authorization },
    });
    if (answer.status === 429) globalThis.refused += 1;
  };
  while (!globalThis.isEnough) await Promise.all(Array.from({ length: 10 }, one));
}

// Runs in a page: the status of an answer from another origin, or what fetch says instead.
async function askElsewhere([address, authorization]) {
  return fetch(address, { credentials: "omit", headers: { Authorization: authorization } })
    .then((answer) => answer.status, (fault) => fault.name);
}

async function isShown(ada, robot) {
  const made = await robot.page.evaluate(makeMany, ["/notes/", TOKEN, MANY_NOTES]);
  await ada.page.reload();
  await ada.page.waitForSelector("#more", { state: "visible" });
  const first = await ada.titles();
  await ada.page.click("#more");
  await ada.page.waitForSelector("#more", { state: "hidden" });
  const all = await ada.titles();
  const newest = Array.from(all, (_, index) => `Note ${MANY_NOTES - 1 - index}`);
  check("many are shown in pieces, the newest first", made.every((status) => status === 201)
    && first.length < MANY_NOTES && all.length === MANY_NOTES
    && all.every((title, index) => title === newest[index]), [made, first, all]);
}

async function limits(ada, robot, browser) {
  // Another of her programs, while she reads.
  const page = await browser.newPage();
  await page.goto(`${base}/style.css`);
  const asking = page.evaluate(askOften, ["/notes/", `Basic ${btoa("ada:difference")}`]);
  asking.catch(() => {}); // It is looked at below, unless the visit breaks off.
  while (await page.evaluate(() => globalThis.refused) < MANY_REFUSED) await page.waitForTimeout(20);
  // One of her clicks may find a moment in which she may ask again.
  const isTold = () => ada.page.isVisible("#message");
  for (let tries = 0; tries < CLICKS_MAX && !await isTold(); tries += 1) {
    await ada.notes().first().locator(".edit").click();
    await ada.page.waitForSelector("#message:not([hidden]), #editor[open]");
    if (await ada.page.isVisible("#editor")) await ada.page.click("#cancel");
  }
  const told = await message(ada);
  const seconds = Number(/^Too many requests. Try again in (\d+) s\.$/.exec(told)?.[1]);
  check("who asks too often is told when to come again", seconds > 0, told);
  await robot.page.reload();
  await edit(robot);
  await robot.page.click("#cancel");
  check("others are not held up", !await robot.page.isVisible("#message"), await message(robot));
  await page.evaluate(() => { globalThis.isEnough = true; });
  await asking;
  await ada.page.waitForTimeout(1000 * (seconds || 1));
  await edit(ada);
  check("then it goes on", !await ada.page.isVisible("#message"), await message(ada));
  await ada.page.click("#cancel");
}

async function ends(ada, browser) {
  await ada.page.click("#leave");
  await ada.page.reload();
  await ada.page.waitForSelector("#login", { state: "visible" });
  check("who logs out is forgotten", !await ada.page.isVisible("#notes"), await ada.titles());

  const page = await browser.newPage();
  await page.goto(`${elsewhere}/healthz`); // It has no policy of its own.
  const seen = await page.evaluate(askElsewhere, [`${base}/notes/`, TOKEN]);
  const expected = MAY_USE_FROM_ELSEWHERE ? 200 : "TypeError";
  check("pages of other origins may do what the rule says", seen === expected, seen);
}

const browser = await launch(executablePath, keyHash, protocol);
await report(browser, lists, async () => {
  const [ada, robot] = [await visitor(browser), await visitor(browser)];
  await logsIn(ada);
  await writes(ada);
  await meet(ada, robot);
  await isShown(ada, robot);
  await limits(ada, robot, browser);
  await ends(ada, browser);
  check("nothing else is said on the console", ada.said.concat(robot.said).length === 0,
    [ada.said, robot.said]);
});
