// The sample site in the browser: style, module, pictures, font, film, service worker.
//
// Everything that the site uses must load, and nothing may be said on the console.

import { within } from "./browser.mjs";

const SAMPLE = "/sample/";
const TIMEOUT_MS = 20_000;
const FILM_SECONDS = 60;
const SEEK_TO = 45;
// Paths that the page must have asked the server for, and the status of the answer.
const PARTS = ["style.css", "app.js", "part.js", "boxes.woff2", "film.webm"];

// Runs in the page. Resolves with the place that the film plays from after a jump.
async function seek(seconds) {
  const film = document.getElementById("film");
  if (film.readyState < 1) {
    await new Promise((resolve, reject) => {
      film.addEventListener("loadedmetadata", resolve);
      film.addEventListener("error", () => reject(new Error(film.error?.message)));
    });
  }
  const sought = new Promise((resolve) => film.addEventListener("seeked", resolve));
  film.currentTime = seconds;
  await sought;
  return { at: film.currentTime, duration: film.duration, width: film.videoWidth };
}

// Runs in the page. What two fetches bring once the worker controls it.
async function takeWorker() {
  const taken = new Promise((resolve) =>
    navigator.serviceWorker.addEventListener("controllerchange", resolve));
  await navigator.serviceWorker.register("worker.js");
  if (!navigator.serviceWorker.controller) await taken;
  const texts = ["only-here", "part.js"].map(async (path) => (await fetch(path)).text());
  return Promise.all(texts);
}

function listen(page) {
  const said = [];
  const answers = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) said.push(message.text());
  });
  page.on("pageerror", (error) => said.push(String(error)));
  page.on("requestfailed", (request) => {
    const { errorText } = request.failure();
    // A film's download is cut off by every jump.
    if (!request.url().endsWith(".webm")) said.push(`${request.url()}: ${errorText}`);
  });
  page.on("response", (answer) => answers.push(answer));
  return { said, answers };
}

export async function visitSample(page, base, check) {
  const { said, answers } = listen(page);
  await page.goto(base + SAMPLE, { timeout: TIMEOUT_MS, waitUntil: "load" });
  await page.evaluate(() => document.fonts.ready);
  const film = await within(page.evaluate(seek, SEEK_TO), TIMEOUT_MS, "seeking");

  const statuses = PARTS.map((part) =>
    answers.find((answer) => answer.url() === base + SAMPLE + part)?.status());
  const all = statuses.every((status) => status === 200 || status === 206);
  check("the sample site's parts load", all, statuses);
  const colour = await page.evaluate(() =>
    getComputedStyle(document.querySelector("h1")).color);
  check("its style applies", colour === "rgb(1, 2, 3)", colour);
  const text = await page.textContent("#module");
  check("its module runs", text === "The module has run.", text);
  const width = await page.evaluate(() => document.getElementById("picture").naturalWidth);
  const picture = answers.find((answer) => answer.url().endsWith("/picture.jpg"));
  const type = picture?.headers()["content-type"];
  check("its picture comes as AVIF", width === 64 && type === "image/avif", [width, type]);
  const font = await page.evaluate(() => document.fonts.check("16px Boxes")
    && [...document.fonts].every((face) => face.status === "loaded"));
  check("its font is there", font === true, font);

  const there = film.at === SEEK_TO && Math.abs(film.duration - FILM_SECONDS) < 1;
  check("its film is sought in", there, film);
  const ranges = answers.filter((answer) => answer.url().endsWith("/film.webm"))
    .map((answer) => [answer.status(), answer.request().headers().range]);
  const jumped = ranges.some(([status, range]) =>
    status === 206 && /^bytes=[1-9]\d*-/.test(range ?? ""));
  check("the film is sought in by ranges", jumped, ranges);

  const code = await page.evaluate(async () => {
    const answer = await fetch("/coded", { cache: "no-store" });
    return [answer.headers.get("content-encoding"), (await answer.text()).length];
  });
  check("a page comes in br", code[0] === "br" && code[1] === 5838, code);

  const [own, kept] = await within(page.evaluate(takeWorker), TIMEOUT_MS, "the worker");
  const answered = own === "from the worker" && kept.includes("has run");
  check("its service worker answers", answered, [own, kept]);
  await page.reload({ timeout: TIMEOUT_MS });
  const controlled = await page.evaluate(() => Boolean(navigator.serviceWorker.controller));
  check("the worker controls the page again", controlled, controlled);
  check("nothing is said on the console", said.length === 0, said);
}
