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

  const lines = stream => place(stream, "main", "div", {keep: 3, glide: 1400});
  lines("");  // where a line of the fallback goes while no text has come

  roomful.on("*", frame => {
    if ("text" in frame) {
      const first = document.querySelector('main [data-stream=""]');
      if (first && frame.stream) first.dataset.stream = frame.stream;  // the first text takes the place that is there
      else lines(frame.stream);
    } else if ("picture" in frame) {
      place(frame.stream, "#pictures", "canvas");
    } else {
      place(frame.stream, "footer", "span");
      const shown = document.querySelector(`footer [data-stream="${CSS.escape(frame.stream)}"]`);
      if (shown) shown.textContent = `${frame.stream}  ${brief(frame.value)}`;
    }
  });
})();
