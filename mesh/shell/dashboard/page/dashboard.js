// Keeps a line to the room, draws what comes on it, and carries orders there. The word stays in this browser: see proof.js.

import { proof } from "./proof.js";
import { element, happened, machine, role, takeover, trouble } from "./drawing.js";

const KEY = "roomful.word", SURE_MS = 4000, AGAIN_MS = 2000;
const at = (id) => document.getElementById(id);
const plain = (text) => text.toLowerCase().replace(/[^a-z2-7]/g, "");
const SHOWN = 20;
let held = false, waiting = false, operating = false, all = false;
let word = "", room = null, may = "look", asked = null, line = null, lost = "", silent = 0;

async function question(path, body, signal) {
  const given = await fetch("/nonce", { signal, cache: "no-store" });
  const { nonce, fault } = await given.json();
  if (!nonce) throw new Error(fault);
  return fetch(path, { method: "POST", body, signal, headers: { "Roomful-Proof": proof(word, nonce, "POST", path, body) } });
}

async function follow() {
  line = new AbortController();
  const answer = await question("/live", "", line.signal);
  if (answer.status === 403) return refuse((await answer.json()).fault);
  if (!answer.ok) throw new Error((await answer.json()).fault);
  const reader = answer.body.getReader(), text = new TextDecoder();
  let kept = "";
  for (;;) {
    clearTimeout(silent);
    silent = setTimeout(() => line.abort(), 20000);
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (kept + text.decode(value, { stream: true })).split("\n");
    kept = lines.pop();
    for (const each of lines) take(JSON.parse(each));
  }
}

function take(said) {
  if (said.may) { may = said.may; localStorage.setItem(KEY, word); at("asking").hidden = true; return; }
  if (said.lost !== undefined) lost = said.lost; else if (said.machines) { room = said; lost = ""; } else return;
  draw();
}

async function live() {
  while (word) {
    try { await follow(); if (!word) return; if (lost === "") continue; } catch (fault) {
      if (!word) return;
      lost = fault.name === "AbortError" || fault instanceof TypeError ? "the machine that serves this page does not answer" : fault.message;
      if (!room) at("refused").textContent = lost;
      draw();
    }
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}

function refuse(why) {
  word = ""; room = null;
  localStorage.removeItem(KEY);
  line?.abort(); clearTimeout(silent);
  at("refused").textContent = why; at("room").hidden = true; at("asking").hidden = false;
}

async function order(verb, of) {
  at("answer").textContent = "…";
  try {
    const said = await (await question("/order", JSON.stringify(of ? { verb, of } : { verb }))).json();
    at("answer").textContent = said.done ?? `Not done: ${said.fault}`;
    at("answer").className = said.done ? "" : "bad";
  } catch { at("answer").textContent = "Not done: the machine that serves this page does not answer"; }
}

// What takes something away is asked for twice, and the button keeps its question while the room is drawn anew.
function button(words, verb, of, sure) {
  const id = `${verb} ${of}`, made = element("button", asked === id ? "sure" : "", asked === id ? sure : words);
  made.type = "button";
  made.id = id;
  made.onclick = () => {
    if (sure && asked !== id) {
      asked = id;
      setTimeout(() => { if (asked === id) { asked = null; draw(); } }, SURE_MS);
    } else { asked = null; order(verb, of); }
    draw();
  };
  return made;
}

// Nothing moves under a finger that is down, and the keyboard stays where it was.
function draw() {
  waiting = held;
  if (!room || held) return;
  const focus = document.activeElement?.id;
  drawAll();
  if (focus && document.activeElement?.id !== focus) at(focus)?.focus();
}
addEventListener("pointerdown", () => { held = true; });
for (const end of ["pointerup", "pointercancel", "blur"]) {
  addEventListener(end, () => setTimeout(() => { held = false; if (waiting) draw(); }));
}

function drawAll() {
  const mine = may === "order" && operating, rests = room.order === "down";
  at("room").hidden = false;
  document.title = room.installation || "Roomful";
  at("title").textContent = room.installation || "No work yet";
  at("about").textContent = `revision ${room.revision[0]} (${room.revision[1].slice(0, 8)})${room.clock ? ` · ${room.clock}` : ""}`;
  const operate = element("button", "", operating ? "Done" : "Operate");
  operate.id = "operate"; operate.type = "button";
  operate.onclick = () => { operating = !operating; draw(); };
  at("orders").replaceChildren(...(may === "order" ? [operate] : []), ...(mine ? [rests ? button("Let it play", "up", "") : button("Let it rest", "down", "", "Really rest?")] : []));
  const wrong = room.troubles.length, verdict = at("verdict");
  verdict.className = lost ? "bad" : wrong ? "bad" : rests ? "off" : "good";
  verdict.textContent = lost ? `The room does not answer: ${lost}. Below is what was last known.`
    : wrong ? (wrong === 1 ? "One thing needs a look" : `${wrong} things need a look`) : rests ? "The room rests" : "All is well";
  at("troubles").replaceChildren(...room.troubles.map(trouble), ...room.notes.map((words) => element("li", "note", words)));
  at("machines").replaceChildren(...room.machines.map((each) => machine(each, room.revision[1].slice(0, 8), !mine || !["alive", "suspect"].includes(each.health) ? []
    : [each.drained ? button("Let it play again", "undrain", each.name) : button("Drain", "drain", each.name, "Really drain?")])));
  at("roles").replaceChildren(...room.roles.map((each) => role(each, rests,
    mine && each.away ? [button("Bring home", "restore-role", each.name)] : [])));
  at("latencies").hidden = !room.latency.length;
  at("latency").replaceChildren(...room.latency.map((words) => element("li", "", words)));
  at("takeovers").replaceChildren(...(room.takeovers.length ? room.takeovers.map(takeover) : [element("li", "quiet", "none")]));
  const told = room.events.filter((each) => each.bad || !at("only-bad").checked);
  const shown = all ? told : told.slice(0, SHOWN);
  at("more").hidden = shown.length === told.length;
  at("events").replaceChildren(...(told.length ? shown.map(happened) : [element("li", "quiet", "nothing")]));
  at("foot").textContent = may === "order" ? "Opened with the operator's word." : "Opened with the word that lets look.";
}

function open(text) { word = plain(text); at("refused").textContent = ""; live(); }

at("asking").onsubmit = (event) => { event.preventDefault(); open(at("word").value); at("word").value = ""; };
at("leave").onclick = () => refuse("");
at("only-bad").onchange = draw;
at("more").onclick = () => { all = true; draw(); };
const given = plain(location.hash.slice(1));
if (given) history.replaceState(null, "", location.pathname);
const known = given || localStorage.getItem(KEY) || "";
at("asking").hidden = Boolean(known);
if (known) open(known);
