import { acceptDrops, attempt, find, formatPercent, formatScore, formatTime, isAlone, json, make, offerExplanation, predict, request, save, sendFile, showAnswer, showError } from "./common.js";
import { labelAll } from "./batch.js";
import { recordWith } from "./recorder.js";

const player = find("#player");
const plots = find("#plots");
const playhead = find("#playhead");
let length = 0;
let loudness = [];
let given = null; // the file that is shown
let tables = {};
let zoom = 1;
const MOST_PIXELS = 16_000; // that a canvas may be wide
const MARK_PIXELS = 70; // between marks of seconds
const SILENT = new Set(); // labels that are filtered out

function listen(files) {
  find("#batch").hidden = files.length < 2;
  if (files.length > 1) {
    find("#result").hidden = true;
    return labelAll(files, listenTo);
  }
  return listenTo(files[0]);
}

function listenTo(file) {
  return predict(file, { busy: `Listening to ${file.name} …`, show });
}

function show(answer, file) {
  if (answer.kind !== "recording") {
    showError(`${file.name} is a picture. The page Image is for those.`);
    return;
  }
  find("#result").hidden = false;
  showAnswer(answer);
  ({ seconds: length, loudness } = answer);
  find("#spectrogram").src = answer.spectrogram;
  find("#spectrogram").alt = `Spectrogram of ${file.name}: low frequencies at the bottom, time to the right`;
  find("#length").textContent = formatTime(length);
  plots.ariaValueMax = length;
  given = file;
  ({ tables } = answer);
  find("#corrected").hidden = true;
  find("#correct").reset();
  SILENT.clear();
  showHertz(answer.hertz);
  setZoom(1);
  play(file);
  showSpans(answer.spans, isAlone(answer));
  offerExplanation(file);
  drawWaveform();
  movePlayhead();
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
    attempt(async () => use(await (await sendFile("/sound", file)).blob()));
  };
  use(file);
}

function showSpans(spans, alone) {
  const audible = spans.filter((span) => span.kind !== "silence");
  const names = [...new Set(audible.filter((span) => span.kind === "known").map((span) => span.label))].sort();
  find("#timeline").hidden = audible.length < 2;
  find("#downloads").hidden = !audible.length;
  showWhoIsHeard(audible, names);
  const paint = (element, span) => {
    element.classList.toggle("unknown", span.kind === "unknown");
    element.style.setProperty("--hue", `${(names.indexOf(span.label) * 137.5 + 205) % 360}`);
  };
  find("#strip").replaceChildren(
    ...audible.map((span) => {
      const piece = document.createElement("span");
      paint(piece, span);
      piece.style.left = `${(100 * span.start_seconds) / length}%`;
      piece.style.width = `${(100 * (span.end_seconds - span.start_seconds)) / length}%`;
      piece.append(make("b", span.label));
      piece.dataset.label = span.label;
      return piece;
    }),
  );
  find("#segments").replaceChildren(
    ...audible.map((span) => {
      const item = document.createElement("li");
      item.dataset.label = span.label;
      const button = document.createElement("button");
      button.type = "button";
      paint(button, span);
      const when = document.createElement("span");
      when.className = "when";
      when.textContent = `${formatTime(span.start_seconds)} – ${formatTime(span.end_seconds)}`;
      const who = document.createElement("strong");
      who.textContent = span.label;
      const sure = document.createElement("span");
      sure.className = "quiet";
      const ofSeveral = span.kind === "known" ? formatPercent(span.probability) : `nearest is ${span.nearest}`;
      sure.textContent = alone ? formatScore(span.score) : ofSeveral;
      button.append(when, who, sure);
      button.addEventListener("click", () => playFrom(span.start_seconds));
      item.append(button);
      return item;
    }),
  );
}

/** Where several take turns, one label for the whole says little: show how long each is heard, to filter by. */
function showWhoIsHeard(audible, names) {
  const seconds = new Map();
  for (const span of audible) seconds.set(span.label, (seconds.get(span.label) || 0) + span.end_seconds - span.start_seconds);
  const several = seconds.size > 1 && names.length > 0;
  find("#talk").hidden = !several;
  find("#bars").parentElement.hidden = several;
  if (!several) return;
  const heading = find("#label");
  const known = names.reduce((sum, name) => sum + seconds.get(name), 0);
  if (names.length > 1 && known > (seconds.get("unknown") || 0)) {
    heading.classList.remove("unknown");
    heading.textContent = `${names.length} labels${seconds.has("unknown") ? " and unknown" : ""}`;
    find("#probability").textContent = "taking turns";
  }
  find("#note").hidden = false;
  find("#note").textContent = "How long each is heard; press one to hide or show it below.";
  const total = [...seconds.values()].reduce((sum, one) => sum + one, 0);
  const sorted = [...seconds].sort((one, other) => other[1] - one[1]);
  find("#talk tbody").replaceChildren(...sorted.map(([label, heard]) => rowOf(label, heard, total)));
}

function rowOf(label, heard, total) {
  const row = make("tr");
  const name = make("th", "", { scope: "row" });
  const button = make("button", label, { type: "button", className: "filter", ariaPressed: "true" });
  button.addEventListener("click", () => {
    if (!SILENT.delete(label)) SILENT.add(label);
    button.ariaPressed = String(!SILENT.has(label));
    for (const piece of document.querySelectorAll("#strip > span, #segments > li")) piece.hidden = SILENT.has(piece.dataset.label);
  });
  name.append(button);
  const cell = make("td");
  const bar = make("span", "", { className: "bar", ariaHidden: "true" });
  bar.style.setProperty("--share", heard / total);
  cell.append(bar, make("span", formatTime(heard)));
  row.append(name, cell);
  return row;
}

function showHertz(hertz) {
  const marks = Object.entries(hertz).map(([frequency, height]) => {
    const mark = make("span", frequency >= 1000 ? `${frequency / 1000} kHz` : `${frequency} Hz`);
    mark.style.bottom = `${100 * height}%`;
    return mark;
  });
  find("#hertz").replaceChildren(...marks);
}

/** Show the sound so many times as wide as the window. */
function setZoom(times) {
  const frame = find("#window");
  const most = Math.max(1, Math.min(64, MOST_PIXELS / Math.max(1, frame.clientWidth), length / 2));
  const middle = (frame.scrollLeft + frame.clientWidth / 2) / Math.max(1, frame.scrollWidth);
  zoom = Math.max(1, Math.min(most, times));
  find("#wide").style.width = `${100 * zoom}%`;
  frame.scrollLeft = middle * frame.scrollWidth - frame.clientWidth / 2;
  find("#zoom-out").disabled = zoom <= 1;
  find("#zoom-in").disabled = zoom >= most;
  find("#zoom").textContent = zoom > 1 ? `${zoom.toFixed(zoom < 10 ? 1 : 0)} times as wide` : "";
  drawWaveform();
  showSeconds();
}

/** Mark the seconds, at a round step, so that the marks neither touch nor stick out. */
function showSeconds() {
  const width = find("#wide").clientWidth;
  const marks = Math.max(1, width / MARK_PIXELS);
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800].find((one) => length / one <= marks) || 3600;
  const count = Math.floor((length * (1 - MARK_PIXELS / 2 / width)) / step);
  const spans = Array.from({ length: count + 1 }, (_, place) => {
    const seconds = place * step;
    const mark = make("span", seconds < 60 ? `${+seconds.toFixed(1)} s` : formatTime(seconds));
    mark.style.left = `${(100 * seconds) / length}%`;
    return mark;
  });
  find("#seconds").replaceChildren(...spans);
}

function playFrom(seconds) {
  player.currentTime = Math.max(0, Math.min(seconds, length));
  player.play().catch(() => {});
  movePlayhead();
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

function movePlayhead() {
  const share = length ? player.currentTime / length : 0;
  playhead.style.left = `${100 * Math.min(1, share)}%`;
  plots.ariaValueNow = player.currentTime.toFixed(1);
  plots.ariaValueText = `${formatTime(player.currentTime)} of ${formatTime(length)}`;
  if (!player.paused) requestAnimationFrame(movePlayhead);
}

player.addEventListener("play", movePlayhead);
player.addEventListener("seeked", movePlayhead);
plots.addEventListener("click", (event) => {
  const box = plots.getBoundingClientRect();
  playFrom(((event.clientX - box.left) / box.width) * length);
});
plots.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 };
  const wanted = { Home: 0, End: length }[event.key] ?? (event.key in steps ? player.currentTime + steps[event.key] : null);
  if (wanted !== null) {
    player.currentTime = Math.max(0, Math.min(wanted, length));
    movePlayhead();
  } else if (event.key === " " || event.key === "Enter") {
    if (player.paused) player.play().catch(() => {});
    else player.pause();
  } else {
    return;
  }
  event.preventDefault();
});
new ResizeObserver(() => {
  if (!loudness.length) return;
  drawWaveform();
  showSeconds();
}).observe(plots);
find("#zoom-in").addEventListener("click", () => setZoom(zoom * 2));
find("#zoom-out").addEventListener("click", () => setZoom(zoom / 2));
find("#download").addEventListener("change", (event) => {
  const kind = event.target.value;
  const ending = { csv: ".csv", audacity: ".txt", raven: ".selections.txt", rttm: ".rttm", srt: ".srt" }[kind];
  event.target.value = "";
  if (ending) save(tables[kind], given.name.replace(/\.[^.]*$/, "") + ending, "text/plain");
});
find("#correct").addEventListener("submit", (event) => {
  event.preventDefault();
  const label = find("#right").value.trim();
  attempt(async () => {
    const taught = await (await sendFile("/teach/clips", given, { label })).json();
    const count = Object.values(taught.labels).filter((clips) => clips.length).length;
    find("#corrected").hidden = false;
    find("#corrected [role=status]").textContent = `Kept as a clip of ${label}.${count < 2 ? " Training needs clips of a second label, too." : ""}`;
    find("#train-again").disabled = count < 2;
  });
});
find("#train-again").addEventListener("click", () =>
  attempt(async () => {
    await json("/teach/train", { method: "POST" });
    location.href = "/teach";
  }),
);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => loudness.length && drawWaveform());

find("#file").addEventListener("change", (event) => {
  const files = [...event.target.files];
  event.target.value = "";
  if (files.length) listen(files);
});
acceptDrops(document, find("#drop"), listen);
recordWith(find("#record"), { take: (file) => listen([file]), fail: (error) => showError(error.message) });
for (const button of document.querySelectorAll(".example")) {
  button.addEventListener("click", () =>
    attempt(async () => {
      const response = await request(`/examples/${button.dataset.number}`);
      const name = /filename="?([^";]+)/.exec(response.headers.get("content-disposition") || "")?.[1] || "example.mp3";
      const blob = await response.blob();
      await listen([new File([blob], name, { type: blob.type })]);
    }),
  );
}
