import { acceptDrops, attempt, find, formatPercent, formatTime, offerExplanation, predict, request, sendFile, showAnswer, showError } from "./common.js";
import { recordWith } from "./recorder.js";

const player = find("#player");
const plots = find("#plots");
const playhead = find("#playhead");
let length = 0;
let loudness = [];

const listen = (file) => predict(file, { busy: `Listening to ${file.name} …`, show });

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
  play(file);
  showSpans(answer.spans);
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

function showSpans(spans) {
  const audible = spans.filter((span) => span.kind !== "silence");
  const names = [...new Set(audible.filter((span) => span.kind === "known").map((span) => span.label))].sort();
  find("#timeline").hidden = audible.length < 2;
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
      piece.textContent = span.label;
      return piece;
    }),
  );
  find("#segments").replaceChildren(
    ...audible.map((span) => {
      const item = document.createElement("li");
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
      sure.textContent = span.kind === "known" ? formatPercent(span.probability) : `nearest is ${span.nearest}`;
      button.append(when, who, sure);
      button.addEventListener("click", () => playFrom(span.start_seconds));
      item.append(button);
      return item;
    }),
  );
}

/** Where several take turns, one label for the whole says little, and a threshold for one says nothing. */
function showWhoIsHeard(audible, names) {
  if (names.length < 2) return;
  const seconds = (name) => audible.filter((span) => span.label === name).reduce((sum, span) => sum + span.end_seconds - span.start_seconds, 0);
  const heading = find("#label");
  const most = [...names].sort((one, other) => seconds(other) - seconds(one));
  if (heading.classList.contains("unknown")) {
    heading.classList.remove("unknown");
    heading.textContent = `${names.length} labels`;
    find("#probability").textContent = "taking turns";
  }
  find("#note").hidden = false;
  find("#note").textContent = `Heard for: ${most.map((name) => `${name} ${formatTime(seconds(name))}`).join(", ")}. Below is who is heard when.`;
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
new ResizeObserver(() => loudness.length && drawWaveform()).observe(plots);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => loudness.length && drawWaveform());

find("#file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) listen(file);
  event.target.value = "";
});
acceptDrops(document, find("#drop"), ([file]) => listen(file));
recordWith(find("#record"), { take: listen, fail: (error) => showError(error.message) });
for (const button of document.querySelectorAll(".example")) {
  button.addEventListener("click", () =>
    attempt(async () => {
      const response = await request(`/examples/${button.dataset.number}`);
      const name = /filename="?([^";]+)/.exec(response.headers.get("content-disposition") || "")?.[1] || "example.mp3";
      const blob = await response.blob();
      await listen(new File([blob], name, { type: blob.type }));
    }),
  );
}
