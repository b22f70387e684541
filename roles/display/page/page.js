// The plain page: every stream that comes is given a place, texts in the middle, pictures behind them, values below.
"use strict";
(() => {
  const place = (stream, parent, tag, data = {}) => {
    if (document.querySelector(`[data-stream="${CSS.escape(stream)}"]`)) return null;
    const element = document.createElement(tag);
    Object.assign(element.dataset, {stream, ...data});
    document.querySelector(parent).append(element);
    return element;
  };

  const brief = value => {
    if (value === null || typeof value !== "object") return String(value);
    if (Array.isArray(value)) return value.length > 6 ? `${value.length} values` : value.map(brief).join(" ");
    return Object.entries(value).filter(([, inner]) => inner === null || typeof inner !== "object")
      .map(([name, inner]) => `${name} ${typeof inner === "number" ? +inner.toPrecision(3) : inner}`).join("  ");
  };

  // What an event names: a picture or a film behind the texts, a sound nowhere.
  const named = (stream, tag, value) => {
    if (document.querySelector(`${tag}[data-stream="${CSS.escape(stream)}"]`)) return;
    const element = document.createElement(tag);
    Object.assign(element.dataset, {stream});
    if (tag === "video") element.loop = true;
    document.querySelector(tag === "audio" ? "body" : "#pictures").append(element);  // roomful.js fills it, after this
  };

  const lines = stream => place(stream, "main", "div", {keep: 3, glide: 1400});
  lines("");  // where a line of the fallback goes while no text has come

  roomful.on("*", frame => {
    if ("text" in frame) {
      const first = document.querySelector('main [data-stream=""]');
      if (first && frame.stream) first.dataset.stream = frame.stream;  // the first text takes the place that is there
      else lines(frame.stream);
    } else if ("picture" in frame) {
      place(frame.stream, "#pictures", "canvas");
    } else if (["image", "video", "sound"].some(sort => sort in (frame.value ?? {}))) {
      for (const [sort, tag] of [["image", "img"], ["video", "video"], ["sound", "audio"]]) {
        if (sort in frame.value) named(frame.stream, tag, frame.value);
      }
    } else {
      place(frame.stream, "footer", "span");
      const shown = document.querySelector(`footer [data-stream="${CSS.escape(frame.stream)}"]`);
      if (shown) shown.textContent = `${frame.stream}  ${brief(frame.value)}`;
    }
  });
})();
