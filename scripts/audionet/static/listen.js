import { ask, attempt, clock, find, percent, sayBusy, sayFault, send, showAnswer, takeDrops } from "./common.js";
import { recordWith } from "./recorder.js";

const player = find("#player");
const plots = find("#plots");
const head = find("#head");
let length = 0;
let loudness = [];
let latest = 0;

async function label(file) {
  const turn = ++latest;
  sayFault();
  find("#result").hidden = true;
  sayBusy(`Listening to ${file.name} …`);
  try {
    const answer = await (await send("/predict", file, { look: true })).json();
    if (turn === latest) show(answer, file);
  } catch (fault) {
    if (turn === latest) sayFault(fault.message);
  } finally {
    if (turn === latest) sayBusy();
  }
}

function show(answer, file) {
  if (answer.kind !== "recording") {
    sayFault(`${file.name} is a picture. The page Image is for those.`);
    return;
  }
  find("#result").hidden = false;
  showAnswer(answer);
  ({ seconds: length, loudness } = answer);
  find("#spectrogram").src = answer.spectrogram;
  find("#spectrogram").alt = `Spectrogram of ${file.name}: low frequencies at the bottom, time to the right`;
  find("#length").textContent = clock(length);
  plots.ariaValueMax = length;
  play(file);
  showSegments(segmentsOf(answer.chunks));
  drawWaveform();
  follow();
  find("#result").focus({ preventScroll: true });
  find("#result").scrollIntoView({ behavior: "smooth", block: "nearest" });
}

function play(file) {
  const use = (blob) => {
    URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(blob);
  };
  player.onerror = () => {
    // A format that this browser does not play comes back from the server as wav.
    player.onerror = null;
    attempt(async () => use(await (await send("/sound", file)).blob()));
  };
  use(file);
}

function segmentsOf(chunks) {
  const segments = [];
  chunks.forEach((chunk, place) => {
    const end = chunks[place + 1]?.seconds ?? length;
    const last = segments.at(-1);
    if (last?.label === chunk.label) {
      last.end = end;
      last.probabilities.push(chunk.probability);
    } else {
      segments.push({ label: chunk.label, start: chunk.seconds, end, probabilities: [chunk.probability] });
    }
  });
  return segments;
}

function showSegments(segments) {
  find("#timeline").hidden = segments.length < 2;
  const names = [...new Set(segments.map((segment) => segment.label))].sort();
  const hue = (name) => `${(names.indexOf(name) * 137.5 + 205) % 360}`;
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  find("#strip").replaceChildren(
    ...segments.map((segment) => {
      const piece = document.createElement("span");
      piece.style.setProperty("--hue", hue(segment.label));
      piece.style.left = `${(100 * segment.start) / length}%`;
      piece.style.width = `${(100 * (segment.end - segment.start)) / length}%`;
      piece.textContent = segment.label;
      return piece;
    }),
  );
  find("#segments").replaceChildren(
    ...segments.map((segment) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.style.setProperty("--hue", hue(segment.label));
      const when = document.createElement("span");
      when.className = "when";
      when.textContent = `${clock(segment.start)} – ${clock(segment.end)}`;
      const who = document.createElement("strong");
      who.textContent = segment.label;
      const sure = document.createElement("span");
      sure.className = "quiet";
      sure.textContent = percent(mean(segment.probabilities));
      button.append(when, who, sure);
      button.addEventListener("click", () => playFrom(segment.start));
      item.append(button);
      return item;
    }),
  );
}

function playFrom(seconds) {
  player.currentTime = Math.max(0, Math.min(seconds, length));
  player.play().catch(() => {});
  follow();
}

function drawWaveform() {
  const canvas = find("#waveform");
  const scale = devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
  canvas.height = Math.round(72 * scale);
  const pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  const loudest = Math.max(0.05, ...loudness);
  for (let column = 0; column < canvas.width; column++) {
    const from = Math.floor((column * loudness.length) / canvas.width);
    const to = Math.max(from + 1, Math.floor(((column + 1) * loudness.length) / canvas.width));
    const peak = Math.max(...loudness.slice(from, to)) / loudest;
    const height = Math.max(scale, peak * canvas.height * 0.94);
    pen.fillRect(column, (canvas.height - height) / 2, 1, height);
  }
}

function follow() {
  const share = length ? player.currentTime / length : 0;
  head.style.left = `${100 * Math.min(1, share)}%`;
  plots.ariaValueNow = player.currentTime.toFixed(1);
  plots.ariaValueText = `${clock(player.currentTime)} of ${clock(length)}`;
  if (!player.paused) requestAnimationFrame(follow);
}

player.addEventListener("play", follow);
player.addEventListener("seeked", follow);
plots.addEventListener("click", (event) => {
  const box = plots.getBoundingClientRect();
  playFrom(((event.clientX - box.left) / box.width) * length);
});
plots.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 };
  const wanted = { Home: 0, End: length }[event.key] ?? (event.key in steps ? player.currentTime + steps[event.key] : null);
  if (wanted !== null) {
    player.currentTime = Math.max(0, Math.min(wanted, length));
    follow();
  } else if (event.key === " " || event.key === "Enter") {
    if (player.paused) player.play().catch(() => {});
    else player.pause();
  } else {
    return;
  }
  event.preventDefault();
});
new ResizeObserver(() => loudness.length && drawWaveform()).observe(plots);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => loudness.length && drawWaveform());

find("#file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) label(file);
  event.target.value = "";
});
takeDrops(document, find("#drop"), ([file]) => label(file));
recordWith(find("#record"), { take: label, fail: (fault) => sayFault(fault.message) });
for (const button of document.querySelectorAll(".example")) {
  button.addEventListener("click", () =>
    attempt(async () => {
      const response = await ask(`/examples/${button.dataset.number}`);
      const name = /filename="?([^";]+)/.exec(response.headers.get("content-disposition") || "")?.[1] || "example.mp3";
      const blob = await response.blob();
      await label(new File([blob], name, { type: blob.type }));
    }),
  );
}
