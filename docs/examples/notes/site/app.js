// Notes are JSON files of a collection: the server keeps them, this page shows and changes them.

const COLLECTION = "/notes/";
const AT_ONCE = 20;
const KEPT_AS = "notes.credential";

const at = (selector, within = document) => within.querySelector(selector);
const editor = at("#editor");
const fields = at("form", editor).elements;

let credential = JSON.parse(sessionStorage.getItem(KEPT_AS)); // { name, value }
let waiting = []; // Members that are not shown yet, the newest first.
let edited = null; // { href, etag, item }; without href a new note, with a key instead.

// ---- The server.

// What the server refuses, in words for people.
class Refused extends Error {
  constructor({ status }, text) {
    super(text);
    this.status = status;
  }

  static async from(answer) {
    const wait = answer.headers.get("Retry-After");
    if (answer.status === 429) return new Refused(answer, `Too many requests. Try again in ${wait} s.`);
    if (answer.status === 401) return new Refused(answer, "The server does not know this login.");
    const isProblem = answer.headers.get("Content-Type")?.startsWith("application/problem+json");
    const problem = isProblem ? await answer.json() : {};
    const id = problem.request_id ? ` (request ${problem.request_id})` : "";
    return new Refused(answer, `${problem.detail ?? problem.title ?? answer.status}${id}`);
  }
}

// The login goes into a field of its own. Without "omit" the browser would ask for a password, too.
async function ask(path, options = {}) {
  const answer = await fetch(path, {
    ...options,
    credentials: "omit",
    headers: {
      Accept: "application/json, application/problem+json",
      ...(credential && { Authorization: credential.value }),
      ...options.headers,
    },
  });
  if (!answer.ok) throw await Refused.from(answer);
  return answer;
}

function send(method, path, note, more) {
  const body = JSON.stringify(note);
  return ask(path, { method, body, headers: { "Content-Type": "application/json", ...more } });
}

// All members of the collection, page by page; their names begin with the time they were made.
async function members() {
  const all = [];
  for (let next = `${COLLECTION}?limit=500`; next;) {
    const page = await ask(next);
    all.push(...await page.json());
    next = page.headers.get("Link")?.match(/<([^>]*)>; rel="next"/)?.[1];
  }
  return all.reverse();
}

async function load(href) {
  const answer = await ask(href, { cache: "no-cache" });
  return { href, etag: answer.headers.get("ETag"), note: await answer.json() };
}

// As crypto.randomUUID, which pages without HTTPS do not have.
function freshKey() {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("-");
}

// ---- What is shown.

function say(text = "") {
  at("#message").textContent = text;
  at("#message").hidden = text === "";
}

// Runs what a button asks for; what goes wrong is said.
async function attempt(work, tell = say) {
  tell();
  try {
    await work();
  } catch (fault) {
    if (fault.status === 401) leave();
    tell(fault instanceof Refused ? fault.message : `The server cannot be reached: ${fault.message}`);
  }
}

function show({ href, etag, note }, item = at("#note").content.cloneNode(true).children[0]) {
  item.dataset.href = href;
  item.dataset.etag = etag;
  at("h2", item).textContent = note.title;
  at(".text", item).textContent = note.text;
  at("time", item).textContent = note.changed ? new Date(note.changed).toLocaleString() : "";
  at(".edit", item).onclick = () => attempt(async () => open(await load(href), item));
  at(".delete", item).onclick = () => attempt(() => remove(item));
  return item;
}

function count() {
  at("#empty").hidden = at("#list").children.length > 0;
  at("#more").hidden = waiting.length === 0;
}

async function showMore() {
  const loaded = await Promise.all(waiting.slice(0, AT_ONCE).map(({ href }) =>
    load(href).catch((fault) => {
      if (fault.status === 404) return null; // Removed meanwhile.
      throw fault;
    })));
  waiting = waiting.slice(AT_ONCE);
  at("#list").append(...loaded.filter(Boolean).map((one) => show(one)));
  count();
}

async function enter() {
  waiting = await members();
  at("#list").replaceChildren();
  at("#login").hidden = true;
  at("#notes").hidden = at("#who").hidden = false;
  at("#who span").textContent = credential.name;
  await showMore();
}

function leave() {
  credential = null;
  sessionStorage.removeItem(KEPT_AS);
  editor.close();
  at("#login").hidden = false;
  at("#notes").hidden = at("#who").hidden = true;
}

// ---- What is changed.

function open(what, item) {
  edited = { ...what, item };
  fields.title.value = what.note.title;
  fields.text.value = what.note.text;
  at("#conflict").hidden = true;
  tellEditor();
  if (!editor.open) editor.showModal();
}

function tellEditor(text = "") {
  at(".fault", editor).textContent = text;
  at(".fault", editor).hidden = text === "";
}

async function save() {
  const note = {
    title: fields.title.value, text: fields.text.value, changed: new Date().toISOString(),
  };
  try {
    if (edited.href) {
      const answer = await send("PUT", edited.href, note, { "If-Match": edited.etag });
      show({ href: edited.href, etag: answer.headers.get("ETag"), note }, edited.item);
    } else {
      // The same key makes one note, however often it is sent.
      const answer = await send("POST", COLLECTION, note, { "Idempotency-Key": edited.key });
      const href = answer.headers.get("Location");
      at("#list").prepend(show({ href, etag: answer.headers.get("ETag"), note }));
    }
  } catch (fault) {
    if (fault.status !== 412) throw fault;
    await showConflict();
    return;
  }
  editor.close();
  count();
}

// Saving again then writes over what is shown here, and nothing else.
async function showConflict() {
  const theirs = await load(edited.href);
  at("#conflict b").textContent = theirs.note.title;
  at("#conflict blockquote p").textContent = theirs.note.text;
  at("#conflict").hidden = false;
  at("#theirs").onclick = () => {
    show(theirs, edited.item);
    open(theirs, edited.item);
  };
  edited.etag = theirs.etag;
}

async function remove(item) {
  const { href, etag } = item.dataset;
  try {
    await ask(href, { method: "DELETE", headers: { "If-Match": etag } });
  } catch (fault) {
    if (fault.status === 412) {
      show(await load(href), item);
      throw new Refused(fault, "Changed meanwhile: look at the note again before you delete it.");
    }
    if (fault.status !== 404) throw fault;
  }
  item.remove();
  count();
}

// ---- What is pressed.

function credentialOf({ name, password, token }) {
  if (token.value) return { name: "token", value: `Bearer ${token.value}` };
  const bytes = new TextEncoder().encode(`${name.value}:${password.value}`);
  return { name: name.value, value: `Basic ${btoa(String.fromCharCode(...bytes))}` };
}

at("#login").onsubmit = (event) => {
  event.preventDefault();
  attempt(async () => {
    credential = credentialOf(event.target.elements);
    await enter();
    sessionStorage.setItem(KEPT_AS, JSON.stringify(credential));
    event.target.reset();
  });
};
at("#leave").onclick = leave;
at("#more").onclick = () => attempt(showMore);
at("#add").onclick = () => open({ key: freshKey(), note: { title: "", text: "" } });
at("#cancel").onclick = () => editor.close();
at("form", editor).onsubmit = async (event) => {
  event.preventDefault();
  at("#save").disabled = true;
  await attempt(save, tellEditor);
  at("#save").disabled = false;
};

if (credential) attempt(enter);
else leave();
