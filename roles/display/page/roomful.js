// The browser's half of display.web: streams of the room on a page of your own, with no script needed.
//
//   <p data-stream="line"></p>                       a text, word by word as it is spoken
//   <div data-stream="line" data-keep="4"></div>     the same, with the four texts before it (class "past")
//                                                    also: data-pace="6" (at most 6 words a second), data-glide="1200" (lines
//                                                    move softly, in ms), data-typeset (it's becomes it’s)
//   <img data-stream="image">  <canvas …>            the newest picture
//   <b data-stream="people" data-field="label"></b>  one field of an event; numbers also as CSS variables (--people-score)
//   <img data-stream="show"> <video …> <audio …>     what an event names: {"image": "moth.jpg"}, {"video": …}, {"sound": …}, all of
//                                                    the folder that option `media` names; null takes it away
//
//   roomful.on("line", frame => …)                   or by script: {text, piece, key, request, index, more, ended},
//   roomful.on("people", frame => …)                 {value}, or {picture, width, height}; "*" hears every stream
//
// A page never shows an error: it keeps what it shows and looks for the room again, for as long as it takes.
// Words are elements of class roomful-word in a block of class roomful-text (speaking | past | cancelled).
"use strict";
(() => {
  const STYLE = `
    :where([data-stream]) { position: relative }
    :where(.roomful-text) { display: block }
    :where(.roomful-word) { animation: roomful-appear 1.1s ease-out both }
    :where(.roomful-text.at-once .roomful-word) { animation: none }
    :where([data-stream]:not([data-keep]) > .past) { position: absolute; inset: 0 auto auto 0; opacity: 0; transition: opacity 1s }
    .roomful-fallback { position: fixed; inset: 0; opacity: 0; transition: opacity 1.5s; }
    .roomful-fallback > :is(img, video) {
      position: absolute; inset: 0; width: 100%; height: 100%; object-fit: cover; opacity: 0; transition: opacity 1.5s }
    .roomful-fallback > .shown { opacity: 1 }
    .roomful-text.cancelled { opacity: 0 !important; transition: opacity .9s !important }
    @keyframes roomful-appear { from { opacity: 0 } to { opacity: 1 } }`;
  const WORDS_PER_S = 9;          // the fastest that words appear, unless data-pace says otherwise
  const SILENCE_MS = 12000;       // the room sends a sign of life every 5 s
  const BROAD = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]$/;  // scripts without spaces: every piece is shown at once

  const heard = new Map();        // stream -> listeners
  const sayings = new Map();      // stream -> [{key, request, text, index, more, ended}]
  const blocks = new WeakMap();   // element -> Map of key -> {block, held, due}
  const values = new Map();

  const elements = stream => {
    const all = [...document.querySelectorAll("[data-stream]")];
    const named = all.filter(element => element.dataset.stream === stream);
    const texts = all.filter(element => !element.dataset.field && !["IMG", "CANVAS"].includes(element.tagName));
    return stream ? named : texts.slice(0, 1);  // a line with no stream of its own goes where texts go
  };

  const tell = (stream, frame) => {
    for (const name of [stream, "*"]) {
      for (const listener of heard.get(name) ?? []) {
        try { listener({stream, ...frame}); } catch (error) { console.error(error); }
      }
    }
  };

  // ---- texts

  function hearPiece({stream, key, request, index, piece, more, ended}) {
    const known = sayings.get(stream) ?? [];
    sayings.set(stream, known);
    let saying = known.find(one => one.key === key);
    if (!saying) known.push(saying = {key, request, text: "", index: -1, more: true, ended: null});
    if (index <= saying.index || !saying.more) return;
    Object.assign(saying, {text: saying.text + piece, index, more, ended});
    if (known.length > 16) known.splice(0, known.length - 16);
    tell(stream, {...saying, piece});  // before it is shown: a page may make a place for it
    for (const element of elements(stream)) speak(element, saying, piece, false);
  }

  function hearState({about, texts, values: latest}) {
    if (about?.title && !document.title.trim()) document.title = about.title;
    for (const stream of new Set([...Object.keys(texts), ...sayings.keys()])) {
      const lines = texts[stream] ?? [];
      const known = sayings.get(stream) ?? [];
      sayings.set(stream, known);
      for (const line of lines) {
        const old = known.find(one => one.key === line.key);
        const piece = line.text.slice(old?.text.length ?? 0);
        if (old && !piece && old.more === line.more) continue;
        const saying = Object.assign(old ?? {ended: null}, line);
        if (!old) known.push(saying);
        tell(stream, {...saying, piece});
        for (const element of elements(stream)) speak(element, saying, piece, !old);
      }
      for (const lost of known.filter(one => one.more && !lines.some(line => line.key === one.key))) {
        Object.assign(lost, {more: false, ended: "failed"});
        for (const element of elements(stream)) speak(element, lost, "", false);
      }
    }
    for (const [stream, value] of Object.entries(latest ?? {})) hearValue({stream, value});
  }

  function speak(element, saying, piece, atOnce) {
    if (element.dataset.field || ["IMG", "CANVAS"].includes(element.tagName)) return;
    const all = blocks.get(element) ?? new Map();
    const fresh = !blocks.has(element);
    blocks.set(element, all);
    if (fresh) {  // an element that came later than the texts: show what it missed
      for (const earlier of sayings.get(element.dataset.stream) ?? []) {
        if (earlier.key !== saying.key && !earlier.ended) speak(element, earlier, earlier.text, true);
      }
    }
    if (!all.has(saying.key)) piece = saying.text;
    glide(element, () => {
      let part = all.get(saying.key);
      if (!part) {
        part = {block: document.createElement("span"), held: "", due: 0};
        part.block.dir = "auto";  // a text that begins in Arabic or Hebrew runs from right to left
        part.block.className = `roomful-text${atOnce ? " at-once" : ""}`;
        retire(element, all);
        all.set(saying.key, part);
        element.append(part.block);
      }
      if (!atOnce) part.block.classList.remove("at-once");
      part.block.classList.toggle("speaking", saying.more);
      addWords(element, part, piece, !saying.more, atOnce);
      if (saying.ended) {
        part.block.classList.add("cancelled");
        all.delete(saying.key);
        setTimeout(() => glide(element, () => part.block.remove()), 1000);
      }
    });
  }

  // Only whole words are shown: half a word at the end of a row would jump to the next one when it is completed.
  function addWords(element, part, piece, whole, atOnce) {
    part.held += piece;
    const words = part.held.match(/\s*\S+/g) ?? [];
    const complete = whole || /\s$/.test(part.held) || BROAD.test(part.held);
    part.held = complete ? (part.held.match(/\s+$/)?.[0] ?? "") : (words.pop() ?? part.held);
    const apart = 1000 / (Number(element.dataset.pace) || WORDS_PER_S);
    for (const word of words) {
      const [, space, letters] = word.match(/^(\s*)([\s\S]*)$/);
      if (space) part.block.append(space.includes("\n") ? document.createElement("br") : " ");
      const shown = document.createElement("span");
      shown.className = "roomful-word";
      shown.textContent = "typeset" in element.dataset ? letters.replace(/(?<=\p{L})'(?=\p{L}|$)/gu, "\u2019") : letters;
      if (!atOnce) {
        const now = performance.now();
        part.due = Math.max(part.due + apart, now);
        shown.style.animationDelay = `${Math.round(part.due - now)}ms`;
      }
      shown.addEventListener("animationstart", () => follow(element, shown), {once: true});
      part.block.append(shown);
      lookAt(shown, shown.textContent);
    }
  }

  // ---- letters for which this browser has no font: a screen's own are told to the room, whose `roomful status` lists them

  const NOWHERE = "\u{10FFFD}";   // no font has it: what is drawn for it is what is drawn for any letter that is missing
  const UNSEEN = /[\s\p{Cc}\p{Cf}\p{M}]/u;  // no picture of their own, or none alone
  const asked_for = new Set();    // font and letter
  const missing = new Set();
  let glass = null, telling = 0;

  function drawn_as(letter) {
    glass.clearRect(0, 0, 64, 64);
    glass.fillText(letter, 8, 46);
    return glass.getImageData(0, 0, 64, 64).data.join();
  }

  function has(font, letter) {
    glass ??= new OffscreenCanvas(64, 64).getContext("2d", {willReadFrequently: true});
    glass.font = font;
    const box = drawn_as(NOWHERE), empty = drawn_as("");
    return box === empty || drawn_as(letter) !== box;  // a browser that draws nothing for what it lacks cannot be asked
  }

  async function lookFor(font, letter) {
    if (has(font, letter)) return;
    await document.fonts.load(font, letter).catch(() => {});  // it may be in a font of the page that was not needed before
    await document.fonts.ready;
    if (has(font, letter) || missing.size >= 60) return;
    missing.add(letter);
    clearTimeout(telling);
    telling = setTimeout(tellMissing, 500);
  }

  function tellMissing() {
    if (missing.size) fetch(`roomful/missing?letters=${encodeURIComponent([...missing].join(""))}`, {cache: "no-store"}).catch(() => {});
  }

  function lookAt(element, letters) {
    const {fontStyle, fontWeight, fontFamily} = getComputedStyle(element);
    const font = `${fontStyle} ${fontWeight} 40px ${fontFamily}`;
    for (const letter of letters) {
      const name = `${font} ${letter}`;
      if (letter < "\u007f" || UNSEEN.test(letter) || asked_for.has(name) || asked_for.size > 20000) continue;
      asked_for.add(name);
      lookFor(font, letter).catch(() => {});
    }
  }

  // Of a text taller than its place the words that are said now can be read.
  function follow(element, word) {
    if (element.scrollHeight <= element.clientHeight) return;
    const low = word.getBoundingClientRect().bottom + parseFloat(getComputedStyle(element).paddingBottom);
    const over = low - element.getBoundingClientRect().bottom;
    if (over > 1) element.scrollBy({top: over, behavior: "smooth"});
  }

  // A new text begins: those before it step back, the oldest leave.
  function retire(element, all) {
    const keep = Number(element.dataset.keep ?? 0);
    const older = [...all.entries()].reverse();
    older.forEach(([key, {block}], age) => {
      block.classList.add("past");
      block.style.setProperty("--age", age + 1);
      if (age >= keep) {
        block.classList.add("leaving");
        all.delete(key);
        setTimeout(() => glide(element, () => block.remove()), keep ? 0 : 1200);
      }
    });
  }

  // With data-glide (a duration such as 1200), blocks that a change moves glide to their new place.
  function glide(element, change) {
    const duration = Number(element.dataset.glide ?? 0);
    if (!duration || matchMedia("(prefers-reduced-motion: reduce)").matches) return change();
    const before = new Map([...element.children].map(child => [child, child.getBoundingClientRect().top]));
    change();
    for (const [child, top] of before) {
      const moved = top - child.getBoundingClientRect().top;
      if (child.isConnected && Math.abs(moved) > 0.5) {
        child.animate([{transform: `translateY(${moved}px)`}, {transform: "translateY(0)"}],
          {duration, easing: "cubic-bezier(.3, .1, .2, 1)", composite: "add"});
      }
    }
  }

  // ---- values and pictures

  function hearValue({stream, value}) {
    if (stream === "roomful.fallback") return standIn(value);
    values.set(stream, value);
    tell(stream, {value});
    for (const element of elements(stream)) {
      showNamed(element, value);
      if (!element.dataset.field) continue;
      const found = element.dataset.field.split(".").reduce((inner, name) => inner?.[name], value);
      element.textContent = found ?? "";
    }
    for (const [name, number] of Object.entries(value && typeof value === "object" ? value : {})) {
      if (typeof number === "number") document.documentElement.style.setProperty(`--${stream}-${name}`, number);
    }
  }

  // An event may name a file: {"image": "moth.jpg"}; each element takes the sort that is its own.
  const SORTS = {IMG: "image", VIDEO: "video", AUDIO: "sound"};

  function showNamed(element, value) {
    const name = value?.[SORTS[element.tagName]];
    if (name === undefined || element.dataset.field) return;
    if (name === null) return element.removeAttribute("src");
    element.src = `media/${String(name).split("/").map(encodeURIComponent).join("/")}`;
    element.play?.().catch(() => {});  // a browser without a kiosk's rights wants a touch before it makes a sound
  }

  // ---- what stands in while the room is not heard

  const PICTURE_MS = 7000;        // of a series
  let standing = null, series = 0;

  function standIn({on, image, film, pictures, sound}) {
    clearInterval(series);
    if (!on) {
      if (standing) {
        const old = standing;
        old.style.opacity = 0;
        setTimeout(() => old.remove(), 1600);
      }
      standing = null;
      return;
    }
    if (standing || !(image || film || pictures?.length || sound)) return;
    standing = document.createElement("div");
    standing.className = "roomful-fallback";
    if (film) standing.append(Object.assign(document.createElement("video"), {src: film, muted: true, loop: true, autoplay: true}));
    for (const address of image ? [image] : pictures ?? []) {
      standing.append(Object.assign(document.createElement("img"), {src: address}));
    }
    if (sound) standing.append(Object.assign(document.createElement("audio"), {src: sound, loop: true, autoplay: true}));
    const shown = [...standing.querySelectorAll("img, video")];
    shown[0]?.classList.add("shown");
    let at = 0;
    if (shown.length > 1) {
      series = setInterval(() => {
        shown[at].classList.remove("shown");
        shown[at = (at + 1) % shown.length].classList.add("shown");
      }, PICTURE_MS);
    }
    document.body.prepend(standing);
    const mine = standing;
    requestAnimationFrame(() => requestAnimationFrame(() => { mine.style.opacity = 1; }));
  }

  async function hearPicture(bytes) {
    const length = new DataView(bytes).getUint16(0);
    const {stream, width, height, form, present_s: present} = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 2, length)));
    const body = new Uint8Array(bytes, 2 + length);
    const picture = await createImageBitmap(form === "jpeg"
      ? new Blob([body], {type: "image/jpeg"})
      : new ImageData(new Uint8ClampedArray(body), width, height));
    await new Promise(show => inTime(present, show));
    tell(stream, {picture, width, height});
    for (const element of elements(stream)) await paint(element, picture, form === "jpeg" ? body : null);
  }

  async function paint(element, picture, jpeg) {
    if (element.tagName === "IMG") {
      const old = element.src;
      element.src = URL.createObjectURL(jpeg ? new Blob([jpeg], {type: "image/jpeg"}) : await asBlob(picture));
      await element.decode().catch(() => {});
      if (old.startsWith("blob:")) URL.revokeObjectURL(old);
    } else if (element.tagName === "CANVAS") {
      if (element.width !== picture.width || element.height !== picture.height) {
        Object.assign(element, {width: picture.width, height: picture.height});
      }
      element.getContext("2d").drawImage(picture, 0, 0);
    }
  }

  function asBlob(picture) {
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    canvas.getContext("2d").drawImage(picture, 0, 0);
    return canvas.convertToBlob();
  }

  // ---- the room's time: a frame that has its time is shown then, on every screen together

  const asked = [];               // {way, offset} of the last questions for the time, in ms

  const now = () => {             // the room's milliseconds; without an answer yet, nothing
    const best = asked.reduce((one, two) => (two.way < one.way ? two : one), asked[0]);
    return best && performance.now() + best.offset;
  };

  function hearTime({asked: sent, room_ms: room}) {
    const back = performance.now();
    asked.push({way: back - sent, offset: room - (sent + back) / 2});
    if (asked.length > 24) asked.shift();
  }

  function askTime() {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({kind: "clock", asked: performance.now()}));
  }

  function inTime(present, show) {
    const left = present === undefined || now() === undefined ? 0 : present * 1000 - now();
    if (!(left > 0)) return show();
    const frame = () => (present * 1000 - now() > 8 ? requestAnimationFrame(frame) : show());
    setTimeout(document.visibilityState === "visible" ? frame : show, Math.max(0, left - 30));
  }

  // ---- the line to the room

  let pause = 250, lastWord = 0, socket = null, painting = Promise.resolve();

  function connect() {
    lastWord = performance.now();
    const mine = socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/roomful`);
    mine.binaryType = "arraybuffer";
    mine.onopen = () => {
      pause = 250;
      document.documentElement.dataset.room = "here";
      tellMissing();  // the role may have been started anew
      for (let soon = 0; soon < 8; soon++) setTimeout(askTime, soon * 120);
    };
    mine.onmessage = ({data}) => {
      lastWord = performance.now();
      try {
        if (typeof data !== "string") painting = painting.then(() => hearPicture(data)).catch(console.error);
        else understand(JSON.parse(data));
      } catch (error) { console.error(error); }
    };
    mine.onclose = () => {
      if (mine !== socket) return;
      document.documentElement.dataset.room = "away";
      setTimeout(connect, pause);
      pause = Math.min(pause * 1.5, 5000);
    };
  }

  function understand(message) {
    if (message.kind === "text") inTime(message.present_s, () => hearPiece(message));
    else if (message.kind === "state") hearState(message);
    else if (message.kind === "value") inTime(message.present_s, () => hearValue(message));
    else if (message.kind === "clock") hearTime(message);
  }

  setInterval(askTime, 2000);
  setInterval(() => {
    if (socket?.readyState === WebSocket.OPEN && performance.now() - lastWord > SILENCE_MS) socket.close();
  }, 2000);

  // A page of this computer (a kiosk) opens from its own memory while the room is away. Browsers allow it on localhost only.
  navigator.serviceWorker?.register("/roomful-offline.js").catch(() => {});
  // A browser that is there and draws nothing is frozen: the room is told how much was drawn.
  let drawn = 0;
  const count = () => { drawn++; requestAnimationFrame(count); };
  requestAnimationFrame(count);
  setInterval(() => {
    fetch(`roomful/drawn?frames=${drawn}`, {cache: "no-store"}).catch(() => {});
    drawn = 0;
  }, 3000);

  // The screen must not go to sleep; asked for again whenever the page comes back into sight.
  const wake = () => document.visibilityState === "visible" && navigator.wakeLock?.request("screen").catch(() => {});
  document.addEventListener("visibilitychange", wake);

  globalThis.roomful = {
    on(stream, listener) {
      heard.set(stream, [...(heard.get(stream) ?? []), listener]);
      return this;  // call it while the page loads: what came before is not repeated
    },
    now: () => now() / 1000,  // seconds of the room's clock
    value: stream => values.get(stream),
    sayings: stream => [...(sayings.get(stream) ?? [])],
  };

  let begun = false;
  const begin = () => {
    if (begun) return;
    begun = true;
    const style = document.createElement("style");
    style.textContent = STYLE;
    document.head.prepend(style);
    wake();
    connect();
  };
  // After the page's own scripts, which may listen: they must miss nothing.
  if (document.readyState === "complete") begin();
  document.addEventListener("DOMContentLoaded", begin);
  window.addEventListener("load", begin);
})();
