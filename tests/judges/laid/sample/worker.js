// Keeps one page and answers for one that no server has.
const KEPT = "sample-1";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((cache) => cache.addAll(["style.css", "part.js"])));
  self.skipWaiting();
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  if (pathname.endsWith("/only-here")) event.respondWith(new Response("from the worker"));
  else if (pathname.endsWith("/part.js")) event.respondWith(caches.match(event.request));
});
