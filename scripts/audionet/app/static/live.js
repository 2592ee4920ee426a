// Answers while the microphone is open: the last seconds are sent every half second, one request at a time.

import { find, formatPercent, formatScore, formatTime, make, sendFile, showError } from "./common.js";
import { openMicrophone, wavOf } from "./recorder.js";

const HOP_MILLISECONDS = 500; // as the server expects
const MOST_ENTRIES = 100;
const QUIETEST_DB = -60;
const button = find("#listen-live");
const words = find(".words", button);
const history = find("#history");
let stream = null; // what is open, and how much is needed

async function begin() {
  const microphone = await openMicrophone();
  stream = { microphone, session: crypto.getRandomValues(new Uint32Array(4)).join("-"), seconds: 2, busy: false, begun: performance.now() };
  stream.timer = setInterval(look, HOP_MILLISECONDS);
  button.classList.add("recording");
  words.textContent = "Stop";
  history.replaceChildren();
  find("#live-label").textContent = "";
  find("#live-probability").textContent = "";
  find("#live").hidden = false;
}

async function end() {
  const { microphone, timer } = stream;
  stream = null;
  clearInterval(timer);
  button.classList.remove("recording");
  words.textContent = "Listen live";
  await microphone.close();
}

/** Return the last samples, and forget those before. */
function lastSamples({ blocks, rate }, seconds) {
  let count = 0;
  let first = blocks.length;
  while (first > 0 && count < seconds * rate) count += blocks[--first].length;
  blocks.splice(0, first);
  return blocks;
}

async function look() {
  const mine = stream;
  const blocks = lastSamples(mine.microphone, mine.seconds);
  if (!blocks.length) return;
  showLevel(blocks.slice(-Math.ceil((mine.microphone.rate * HOP_MILLISECONDS) / 1000 / blocks[0].length)));
  if (mine.busy) return; // the next window has this sound, too
  mine.busy = true;
  try {
    const file = new File([wavOf(blocks, mine.microphone.rate)], "live.wav", { type: "audio/wav" });
    const answer = await (await sendFile("/live", file, { session: mine.session })).json();
    if (mine !== stream) return;
    mine.seconds = answer.seconds;
    showError();
    show(answer, (performance.now() - mine.begun) / 1000);
  } catch (error) {
    if (mine === stream) showError(error.message);
  } finally {
    mine.busy = false;
  }
}

function showLevel(blocks) {
  const peak = Math.max(...blocks.map((block) => block.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0)));
  const level = Math.max(QUIETEST_DB, 20 * Math.log10(peak || 1e-9));
  find("#level").value = level;
  find("#level").textContent = `${Math.round(level)} dB`;
}

function show(answer, seconds) {
  const said = answer.label || "silence";
  const label = find("#live-label");
  if (label.textContent !== said) label.textContent = said;
  label.classList.toggle("unknown", answer.label === "unknown");
  const ofSeveral = answer.label === "unknown" ? `nearest is ${answer.nearest}` : answer.label ? formatPercent(answer.probability) : "";
  const sure = answer.score === null ? ofSeveral : formatScore(answer.score);
  find("#live-probability").textContent = sure;
  const last = history.firstElementChild;
  if (last?.dataset.label === said) {
    find(".when", last).textContent = `${last.dataset.from} – ${formatTime(seconds)}`;
    return;
  }
  const entry = make("li");
  entry.dataset.label = said;
  entry.dataset.from = formatTime(seconds);
  entry.append(make("span", formatTime(seconds), { className: "when" }), " ", make("strong", said));
  history.prepend(entry);
  while (history.children.length > MOST_ENTRIES) history.lastElementChild.remove();
}

button.addEventListener("click", async () => {
  showError();
  try {
    await (stream ? end() : begin());
  } catch (error) {
    showError(error.message);
  }
});
