// What pages may do with answers of other origins, by the Fetch standard (https://fetch.spec.whatwg.org).
//
// A case has steps, each of which `sees` a status or nothing, and `reaches` the server with these
// requests, in this order: its access log must say so. Sections are called by their names, since
// their numbers change.

export const HOST_OF = {
  api: "https://api.judge.test", // It is never a page.
  far: "https://far.judge.test", // Another one that only answers.
  page: "https://page.judge.test", // It is named by rules.
  app: "https://one.apps.judge.test", // A rule names all below apps.judge.test,
  apps: "https://apps.judge.test", // which that name itself is not.
  other: "https://other.judge.test", // No rule names it.
  port: "https://page.judge.test:8443", // Another port is another origin.
};

const basic = (name) => `Basic ${btoa(`${name}:secret of ${name}`)}`;
const PASSWORD = encodeURIComponent("secret of ada");
const JSON_TYPE = { "Content-Type": "application/json" };
const put = (fields, body = "{}") => ({ method: "PUT", headers: { ...JSON_TYPE, ...fields }, body });
const asAda = (fields) => ({ Authorization: basic("ada"), ...fields });
// Chromium remembers no preflight of a request that goes around its cache, as all others here do.
const asked = (options) => ({ cache: "default", ...options });
const LARGE = "x".repeat(200_000);

const SIMPLE = [
  {
    name: "an origin that is named reads a simple answer",
    section: "CORS check, step 5",
    steps: [{ path: "/named/data.json", sees: 200, but: ({ type }) => type === "cors" }],
    reaches: ["GET 200"],
  },
  {
    name: "any origin reads where * is allowed",
    section: "CORS check, step 3",
    steps: [{ from: HOST_OF.other, path: "/open/data.json", sees: 200 }],
    reaches: ["GET 200"],
  },
  {
    name: "an origin below a name with an asterisk reads",
    section: "CORS check, step 5",
    steps: [{ from: HOST_OF.app, path: "/named/data.json", sees: 200 }],
    reaches: ["GET 200"],
  },
  {
    name: "the name behind the asterisk alone does not read",
    section: "CORS check, step 4",
    steps: [{ from: HOST_OF.apps, path: "/named/data.json", sees: "nothing" }],
    reaches: ["GET 200"],
  },
  {
    name: "an origin that is not named sees nothing",
    section: "CORS check, step 4",
    steps: [{ from: HOST_OF.other, path: "/named/data.json", sees: "nothing" }],
    reaches: ["GET 200"],
  },
  {
    name: "another port is another origin",
    section: "CORS check, step 4",
    steps: [{ from: HOST_OF.port, path: "/named/data.json", sees: "nothing" }],
    reaches: ["GET 200"],
  },
  {
    name: "nobody reads where no rule is",
    section: "CORS check, step 2",
    steps: [{ path: "/closed/data.json", sees: "nothing" }],
    reaches: ["GET 200"],
  },
  {
    name: "a frame without an origin reads where * is allowed, and nowhere else",
    section: "CORS check, steps 3 and 4",
    steps: [
      { from: "null", path: "/open/data.json", sees: 200 },
      { from: "null", path: "/named/data.json", sees: "nothing" },
    ],
    reaches: ["GET 200", "GET 200"],
  },
  {
    name: "HEAD is simple",
    section: "CORS-safelisted method",
    steps: [{ path: "/named/data.json", options: { method: "HEAD" }, sees: 200 }],
    reaches: ["HEAD 200"],
  },
  {
    name: "one range is simple, and its answer is read",
    section: "CORS-safelisted request-header",
    steps: [{ path: "/named/data.json", options: { headers: { Range: "bytes=0-3" } }, sees: 206 }],
    reaches: ["GET 206"],
  },
  {
    name: "a simple POST is read",
    section: "CORS-safelisted request-header",
    steps: [{
      path: "/named/inbox/", options: { method: "POST", body: "a" }, sees: 201,
      has: { location: /^\/named\/inbox\/./ },
    }],
    reaches: ["POST 201"],
  },
  {
    name: "a simple POST of an origin that is not named changes nothing",
    section: "CORS protocol and HTTP caches; the request is sent all the same",
    steps: [{
      from: HOST_OF.other, path: "/named/inbox/", options: { method: "POST", body: "a" },
      sees: "nothing",
    }],
    reaches: ["POST 403"],
  },
  {
    name: "fields that are exposed are read, and no others",
    section: "CORS-safelisted response-header name",
    steps: [{
      path: "/named/data.json", sees: 200, lacks: ["etag", "x-hidden"],
      has: { "x-shown": /^yes$/, "content-type": /json/, "last-modified": /GMT$/ },
    }],
    reaches: ["GET 200"],
  },
  {
    name: "an asterisk exposes all",
    section: "CORS-safelisted response-header name",
    steps: [{
      path: "/open/data.json", sees: 200,
      has: { "x-shown": /^yes$/, "x-hidden": /^yes$/, etag: /^"/ },
    }],
    reaches: ["GET 200"],
  },
];

const PREFLIGHTED = [
  {
    name: "a preflight is answered without touching anything, and is remembered",
    section: "CORS-preflight cache",
    steps: [
      {
        path: "/named/new.json", options: asked(put(asAda({ "X-Custom": "1" }))), sees: 201,
        has: { location: /^\/named\/new\.json$/ },
      },
      { path: "/named/new.json", options: asked(put(asAda({ "X-Custom": "2" }))), sees: 204 },
    ],
    reaches: ["OPTIONS 204", "PUT 201 by ada", "PUT 204 by ada"],
  },
  {
    name: "a preflight that is good for no time is asked again",
    section: "CORS-preflight fetch, step 7 (max-age)",
    steps: [
      { path: "/plain/data.json", options: asked({ headers: { "X-Custom": "1" } }), sees: 200 },
      { path: "/plain/data.json", options: asked({ headers: { "X-Custom": "1" } }), sees: 200 },
    ],
    reaches: ["OPTIONS 204", "GET 200", "OPTIONS 204", "GET 200"],
  },
  {
    name: "a method that is not allowed is not sent",
    section: "CORS-preflight fetch, step 7 (methods)",
    steps: [{ path: "/named/data.json", options: { method: "DELETE" }, sees: "nothing" }],
    reaches: ["OPTIONS 204"],
  },
  {
    name: "a safelisted method needs no permission",
    section: "CORS-preflight fetch, step 7 (methods)",
    steps: [{
      path: "/named/", options: { method: "POST", headers: JSON_TYPE, body: "{}" }, sees: 401,
    }],
    reaches: ["OPTIONS 204", "POST 401"],
  },
  {
    name: "a field that is not allowed is not sent",
    section: "CORS-preflight fetch, step 7 (header names)",
    steps: [{ path: "/named/data.json", options: { headers: { "X-Other": "1" } }, sees: "nothing" }],
    reaches: ["OPTIONS 204"],
  },
  {
    name: "where no fields are named, those that are asked for are allowed, Authorization too",
    section: "CORS-preflight fetch, step 7 (header names)",
    steps: [{
      from: HOST_OF.other, path: "/open/data.json",
      options: { headers: asAda({ "X-Anything": "1" }) }, sees: 200,
    }],
    reaches: ["OPTIONS 204", "GET 200"],
  },
  {
    name: "an origin that is not named gets no further than the preflight",
    section: "CORS-preflight fetch, step 7",
    steps: [{
      from: HOST_OF.other, path: "/named/other.json", options: put(asAda()), sees: "nothing",
    }],
    reaches: ["OPTIONS 204"],
  },
  {
    name: "where no rule is, nothing gets further than the preflight",
    section: "CORS-preflight fetch, step 7",
    steps: [{ path: "/closed/data.json", options: put(), sees: "nothing" }],
    reaches: ["OPTIONS 204"],
  },
  {
    name: "a frame without an origin gets further only where * is allowed",
    section: "CORS-preflight fetch, step 7",
    steps: [
      { from: "null", path: "/open/data.json", options: { headers: { "X-A": "1" } }, sees: 200 },
      { from: "null", path: "/named/null.json", options: put(asAda()), sees: "nothing" },
    ],
    reaches: ["OPTIONS 204", "GET 200", "OPTIONS 204"],
  },
];

const CREDENTIALED = [
  {
    name: "with credentials, * is not enough",
    section: "CORS check, steps 3 and 4",
    steps: [{ path: "/open/data.json", options: { credentials: "include" }, sees: "nothing" }],
    reaches: ["GET 200"],
  },
  {
    name: "with credentials, the name of the origin is not enough",
    section: "CORS check, step 8",
    steps: [{ path: "/plain/data.json", options: { credentials: "include" }, sees: "nothing" }],
    reaches: ["GET 200"],
  },
  {
    name: "cookies are taken, sent and read where credentials are allowed",
    section: "CORS check, step 7",
    steps: [
      { path: "/named/cookie.json", options: { credentials: "include" }, sees: 200 },
      {
        path: "/named/who", options: { credentials: "include" }, sees: 200,
        but: ({ body }) => body.includes("known by a cookie"),
      },
      { path: "/named/who", sees: 404 },
    ],
    reaches: ["GET 200", "GET 302", "GET 200", "GET 404"],
  },
  {
    name: "a password that the browser knows is sent and its answer read",
    section: "CORS check, step 7",
    steps: [
      { visit: `ada:${PASSWORD}`, path: "/named/secret/data.json", sees: 200 },
      { path: "/named/secret/data.json", options: { credentials: "include" }, sees: 200 },
      { path: "/named/secret/data.json", options: { credentials: "omit" }, sees: 401 },
    ],
    reaches: ["GET 401", "GET 200 by ada", "GET 200 by ada", "GET 401"],
  },
  {
    name: "with credentials, a preflight is asked and answered without them",
    section: "CORS-preflight fetch, step 1 (credentials mode)",
    steps: [{
      path: "/named/secret/new.json", options: { ...put(asAda()), credentials: "include" },
      sees: 201,
    }],
    reaches: ["OPTIONS 204", "PUT 201 by ada"],
  },
];

const ERRORS = [
  {
    name: "401 is read with what would be taken",
    section: "CORS check, step 5",
    steps: [{
      path: "/named/secret/data.json", sees: 401, has: { "www-authenticate": /^Basic /i },
    }],
    reaches: ["GET 401"],
  },
  {
    name: "403 is read",
    section: "CORS check, step 5",
    steps: [{
      path: "/named/secret/data.json", options: { headers: { Authorization: basic("bob") } },
      sees: 403,
    }],
    reaches: ["OPTIONS 204", "GET 403"],
  },
  {
    name: "404 is read, in the form that was asked for",
    section: "CORS check, step 5",
    steps: [{
      path: "/named/nowhere", options: { headers: { Accept: "application/problem+json" } },
      sees: 404, has: { "content-type": /^application\/problem\+json/ },
      but: ({ body }) => JSON.parse(body).status === 404,
    }],
    reaches: ["GET 404"],
  },
  {
    name: "405 is read",
    section: "CORS check, step 5",
    steps: [{ path: "/plain/data.json", options: put(), sees: 405 }],
    reaches: ["OPTIONS 204", "PUT 405"],
  },
  {
    name: "412 is read",
    section: "CORS check, step 5",
    steps: [{
      path: "/named/data.json", options: put(asAda({ "If-Match": '"another"' })), sees: 412,
    }],
    reaches: ["OPTIONS 204", "PUT 412 by ada"],
  },
  {
    name: "413 is read",
    section: "CORS check, step 5",
    steps: [{ path: "/named/large.json", options: put(asAda(), LARGE), sees: 413 }],
    reaches: ["OPTIONS 204", "PUT 413 by ada"],
  },
  {
    name: "416 is read",
    section: "CORS check, step 5",
    steps: [{ path: "/named/data.json", options: { headers: { Range: "bytes=999-" } }, sees: 416 }],
    reaches: ["GET 416"],
  },
  {
    name: "429 is read with the time to wait, and preflights are not counted",
    section: "CORS check, step 5",
    steps: [
      { path: "/named/limited/data.json", options: { headers: { "X-Custom": "1" } }, sees: 200 },
      {
        path: "/named/limited/data.json", options: { headers: { "X-Custom": "1" } }, sees: 429,
        has: { "retry-after": /^\d+$/ },
      },
      { path: "/named/limited/data.json", options: { headers: { Range: "bytes=0-" } }, sees: 429 },
    ],
    reaches: ["OPTIONS 204", "GET 200", "OPTIONS 204", "GET 429", "GET 429"],
  },
];

const REDIRECTED = [
  {
    name: "a redirect is followed where each answer may be read",
    section: "HTTP fetch, step 4 (CORS check of each answer)",
    steps: [{ path: "/named/moved", sees: 200, but: ({ redirected }) => redirected === true }],
    reaches: ["GET 302", "GET 200"],
  },
  {
    name: "a redirect that may not be read is not followed",
    section: "HTTP fetch, step 4 (CORS check of each answer)",
    steps: [{ path: "/closed/moved", sees: "nothing" }],
    reaches: ["GET 302"],
  },
  {
    name: "a redirect to where no rule is shows nothing",
    section: "HTTP fetch, step 4 (CORS check of each answer)",
    steps: [{ path: "/named/moved-closed", sees: "nothing" }],
    reaches: ["GET 302", "GET 200"],
  },
  {
    name: "behind a redirect to another origin the origin is null",
    section: "HTTP-redirect fetch; byte-serializing a request origin",
    steps: [
      { path: "/named/moved-far-open", sees: 200 },
      { path: "/named/moved-far-named", sees: "nothing" },
    ],
    reaches: ["GET 302", "GET 200", "GET 302", "GET 200"],
  },
  {
    name: "a preflighted request follows a redirect, with a preflight at each place",
    section: "HTTP-redirect fetch",
    steps: [{ path: "/plain/moved", options: { headers: { "X-Custom": "1" } }, sees: 200 }],
    reaches: ["OPTIONS 204", "GET 302", "OPTIONS 204", "GET 200"],
  },
];

const CACHED = [
  {
    name: "what the browser keeps for one origin is not shown to another",
    section: "CORS protocol and HTTP caches (Vary)",
    steps: [
      { path: "/named/kept.json", options: { cache: "default" }, sees: 200 },
      { path: "/named/kept.json", options: { cache: "default" }, sees: 200 },
      { from: HOST_OF.app, path: "/named/kept.json", options: { cache: "default" }, sees: 200 },
    ],
    reaches: ["GET 200", "GET 304"],
  },
  {
    name: "what the browser keeps of a request without an origin is not shown to one with it",
    section: "CORS protocol and HTTP caches (Vary)",
    steps: [
      {
        from: HOST_OF.api, path: "/named/kept.json", options: { cache: "default" }, sees: 200,
        but: ({ type }) => type === "basic",
      },
      { path: "/named/kept.json", options: { cache: "default" }, sees: 200 },
    ],
    reaches: ["GET 200", "GET 304"],
  },
  {
    name: "what the browser keeps is confirmed by 304 and read",
    section: "HTTP-network-or-cache fetch (304)",
    steps: [
      { path: "/named/data.json", options: { cache: "default" }, sees: 200 },
      { path: "/named/data.json", options: { cache: "no-cache" }, sees: 200 },
    ],
    reaches: ["GET 200", "GET 304"],
  },
];

export const CASES = [
  ...SIMPLE, ...PREFLIGHTED, ...CREDENTIALED, ...ERRORS, ...REDIRECTED, ...CACHED,
];
