// What the room says, as elements. Text only ever goes in as text.

const HEALTH = { alive: "good", suspect: "unsure", left: "off", seen: "unsure" };
const STATE = { playing: "good", ready: "unsure", starting: "unsure" };

export function element(tag, kind, ...inside) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...inside.filter((each) => each !== "" && each != null && each !== false));
  return made;
}

export const when = (age_s) => {
  const then = new Date(Date.now() - age_s * 1000), today = age_s < 12 * 3600;
  const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return today ? time : `${then.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
};

const mark = (kind, words) => element("span", `state ${kind}`, element("i", "dot"), words);

export function machine(each, revision, buttons) {
  const kind = HEALTH[each.health] ?? "bad", card = element("article", `card ${kind}`);
  card.append(element("h3", "", each.name, mark(each.drained ? "unsure" : kind, each.drained ? "drained" : each.health)));
  if (each.why) card.append(element("p", "why", each.why));
  if (each.plays.length) card.append(element("p", "", element("b", "", "plays "), each.plays.join(", ")));
  if (each.stands_by.length) card.append(element("p", "", element("b", "", "stands by for "), each.stands_by.join(", ")));
  if (!each.plays.length && !each.stands_by.length && kind === "good") card.append(element("p", "quiet", "plays nothing"));
  const small = [each.clock && `clock: ${each.clock}`, each.revision && each.revision !== revision && `revision ${each.revision}`].filter(Boolean).join(" · ");
  if (small && kind !== "bad") card.append(element("p", "small", small));
  if (buttons.length) card.append(element("div", "buttons", ...buttons));
  return card;
}

export function role(each, resting, buttons) {
  const kind = resting && !each.machine ? "off" : STATE[each.state] ?? "bad", row = element("article", `row ${kind}`);
  row.append(element("h3", "", each.name, mark(kind, resting && !each.machine ? "rests" : each.state)));
  row.append(element("p", "", each.machine ? element("span", "", "on ", element("b", "", each.machine)) : "nowhere",
    each.stands_by.length ? `, then ${each.stands_by.join(", ")}` : "", each.model ? ` · model ${each.model}` : ""));
  if (each.why && !resting) row.append(element("p", "why", each.why));
  if (each.restarts) row.append(element("p", "small", `started anew ${each.restarts === 1 ? "once" : `${each.restarts} times`}`));
  if (/^https?:\/\//.test(each.page)) {
    const link = element("a", "small", each.page);
    link.href = each.page; link.target = "_blank"; link.rel = "noopener noreferrer";
    row.append(link);
  }
  if (buttons.length) row.append(element("div", "buttons", ...buttons));
  return row;
}

export function takeover(each) {
  const gap = each.gap_ms == null ? (each.age_s < 12 ? "listening for a gap" : "nobody heard a gap") : `a gap of ${Math.round(each.gap_ms)} ms`;
  const from = each.from ? ` from ${each.from}` : "", cause = each.cause ? ` (${each.cause})` : "";
  return element("li", "", element("time", "", when(each.age_s)), element("span", "", element("b", "", each.instance), ` to ${each.to}${from}${cause}`,
    element("span", "small", ` ${gap}`)));
}

export const happened = (each) => element("li", each.bad ? "bad" : "", element("time", "", when(each.age_s)), element("span", "", each.words));

export const trouble = (each) => element("li", "", each.about ? element("b", "", `${each.about}: `) : "", each.why);
