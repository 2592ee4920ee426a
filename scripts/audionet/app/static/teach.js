import { acceptDrops, attempt, find, formatTime, json, sendFile, showError, showModels } from "./common.js";
import { showCurve } from "./curve.js";
import { recordWith } from "./recorder.js";

const WATCH_MILLISECONDS = 700;
const cards = find("#cards");
const { unknownLabel } = document.body.dataset;
const typed = new Set(); // labels that were typed and have no clip yet
let labels = {};

function show(taught) {
  labels = taught.labels;
  Object.keys(labels).forEach((label) => typed.delete(label));
  const wanted = [...Object.keys(labels), ...typed];
  for (const card of [...cards.children]) if (!wanted.includes(card.dataset.label)) card.remove();
  for (const label of wanted) fill(cardOf(label), labels[label] || []);
  const ready = Object.entries(labels).filter(([label, clips]) => clips.length && label !== unknownLabel).length;
  const few = Object.values(labels).some((clips) => clips.length < 3);
  const busy = taught.lesson && ["waiting", "running"].includes(taught.lesson.state);
  find("#train").disabled = ready < 2 || busy;
  find("#forget").disabled = busy;
  find("#offer").hidden = wanted.includes(unknownLabel);
  find("#need").textContent = ready < 2 ? "Two labels with clips are needed." : few ? "With fewer than three clips a label, nobody can say how good it is." : "";
  showTraining(taught.lesson);
  showLabelsToAdd();
}

/** Offer the labels that have clips for the classifier in use. */
function showLabelsToAdd() {
  const select = find("#extra");
  const kept = select.value;
  const offered = Object.keys(labels).filter((label) => labels[label].length && label !== unknownLabel);
  select.replaceChildren(...offered.map((label) => new Option(label, label, false, label === kept)));
  if (!offered.length) select.append(new Option("none with clips yet", ""));
  find("#extend-button").disabled = !offered.length;
}

function cardOf(label) {
  const existing = [...cards.children].find((card) => card.dataset.label === label);
  if (existing) return existing;
  const card = find("#card").content.firstElementChild.cloneNode(true);
  card.dataset.label = label;
  find("h3", card).textContent = label === unknownLabel ? "Background and other voices" : label;
  find(".about", card).hidden = label !== unknownLabel;
  const unwanted = find(".unwanted", card);
  unwanted.ariaLabel = `Remove the card of ${label}`;
  unwanted.addEventListener("click", () => {
    typed.delete(label);
    card.remove();
    find("#offer").hidden = unknownLabel in labels || typed.has(unknownLabel);
  });
  const record = find(".record", card);
  record.ariaLabel = `Record a clip of ${label}`;
  const input = find("input", card);
  input.ariaLabel = `Choose files of ${label}`;
  input.addEventListener("change", async () => {
    const files = [...input.files];
    input.value = "";
    await add(label, files);
  });
  acceptDrops(card, card, (files) => add(label, files));
  recordWith(record, { take: (file) => add(label, [file]), fail: (error) => showError(error.message) });
  cards.append(card);
  return card;
}

function fill(card, clips) {
  const { label } = card.dataset;
  find(".count", card).textContent = clips.length === 1 ? "1 clip" : `${clips.length || "No"} clips`;
  find(".unwanted", card).hidden = clips.length > 0;
  const list = find(".clips", card);
  for (const item of [...list.children]) if (!clips.includes(item.dataset.name)) item.remove();
  for (const name of clips) {
    if ([...list.children].some((item) => item.dataset.name === name)) continue;
    const place = new URLSearchParams({ label, name });
    const item = document.createElement("li");
    item.dataset.name = name;
    const player = document.createElement("audio");
    player.controls = true;
    player.preload = "metadata";
    player.src = `/teach/clip?${place}`;
    player.ariaLabel = `Clip ${name} of ${label}`;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "remove";
    remove.textContent = "✕";
    remove.ariaLabel = `Remove clip ${name} of ${label}`;
    remove.addEventListener("click", () => attempt(async () => show(await json(`/teach/clip?${place}`, { method: "DELETE" }))));
    item.append(player, remove);
    list.append(item);
  }
}

async function add(label, files) {
  showError();
  const card = cardOf(label);
  const errors = [];
  for (const [place, file] of files.entries()) {
    find(".count", card).textContent = `Taking in ${place + 1} of ${files.length} …`;
    try {
      show(await (await sendFile("/teach/clips", file, { label })).json());
    } catch (error) {
      errors.push(error.message);
    }
  }
  fill(card, labels[label] || []);
  if (errors.length) showError(errors.join(" "));
}

function showTraining(job) {
  find("#training").hidden = !job;
  if (!job) return;
  const isOver = !["waiting", "running"].includes(job.state);
  const bar = find("#progress");
  bar.hidden = isOver;
  if (job.share === null) bar.removeAttribute("value");
  else bar.value = job.share;
  const words = find("#training-words");
  if (words.textContent !== job.words) words.textContent = job.words;
  const rest = job.rest_seconds ? `; this step still takes about ${formatTime(job.rest_seconds)}` : "";
  find("#rest").textContent = isOver ? "" : `${formatTime(job.seconds)} so far${rest}.`;
  find("#cancel").hidden = isOver;
  showCurve(job.curve);
  words.classList.toggle("wrong", job.state === "failed");
  find("#after").hidden = job.state !== "done";
  if (!isOver) setTimeout(watch, WATCH_MILLISECONDS);
}

let watching = false;
async function watch() {
  if (watching) return;
  watching = true;
  const taught = await attempt(() => json("/teach/clips"));
  watching = false;
  if (!taught) return;
  if (taught.lesson?.state === "done") await showModelInUse();
  show(taught);
}

/** Show which classifier is in use now. */
async function showModelInUse() {
  find("#extend-model").textContent = (await showModels()).name;
}

/** Begin with a card for a label. */
function addCard(label) {
  showError();
  if (!(label in labels)) typed.add(label);
  fill(cardOf(label), labels[label] || []);
  find("#offer").hidden = typed.has(unknownLabel) || unknownLabel in labels;
  find(".record", cardOf(label)).focus();
}

find("#add").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = find("#name").value.trim();
  if (!name) return;
  find("#name").value = "";
  addCard(name);
});
find("#background").addEventListener("click", () => addCard(unknownLabel));
find("#extend").addEventListener("submit", (event) => {
  event.preventDefault();
  const label = find("#extra").value;
  const words = find("#extended");
  words.hidden = false;
  words.textContent = `Adding ${label} …`;
  find("#extend-button").disabled = true;
  attempt(async () => {
    try {
      const health = await json("/teach/label", { method: "POST", body: new URLSearchParams({ label }) });
      await showModelInUse();
      words.textContent = `It knows ${health.labels.join(", ")} now. `;
      const link = document.createElement("a");
      link.href = "/";
      link.textContent = "Try it";
      words.append(link);
    } catch (error) {
      words.hidden = true;
      throw error;
    } finally {
      showLabelsToAdd();
    }
  });
});
find("#train").addEventListener("click", () => attempt(async () => show(await json("/teach/train", { method: "POST" }))));
find("#cancel").addEventListener("click", () => attempt(async () => show(await json("/teach/cancel", { method: "POST" }))));
find("#forget").addEventListener("click", () => {
  if (!confirm("Remove all your clips and classifiers?")) return;
  attempt(async () => {
    typed.clear();
    show(await json("/teach", { method: "DELETE" }));
    await showModelInUse();
  });
});
attempt(async () => show(await json("/teach/clips")));
