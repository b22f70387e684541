// Keeps the page's files in the browser, so that a reload while the room is away shows the page and not the browser's
// own error. The network is always asked first: a changed page is seen at the next reload.
"use strict";
const SHELF = "roomful-page";

self.addEventListener("install", event => {
  event.waitUntil(caches.open(SHELF).then(shelf => shelf.addAll(["/", "/roomful.js"])).then(() => self.skipWaiting()));
});
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", event => {
  const {request} = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  if (new URL(request.url).pathname.match(/^\/roomful\/(drawn|missing)$/)) return;  // a word to the room, nothing to keep
  event.respondWith(fromNetwork(request).catch(() => fromShelf(request)));
});

async function fromNetwork(request) {
  const answer = await fetch(request);
  if (answer.ok) {
    const copy = answer.clone();
    caches.open(SHELF).then(shelf => shelf.put(request, copy)).catch(() => {});
  }
  return answer;
}

async function fromShelf(request) {
  const kept = await caches.match(request, {ignoreSearch: true});
  return kept ?? (request.mode === "navigate" ? await caches.match("/") : undefined) ?? Response.error();
}
