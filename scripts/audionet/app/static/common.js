// What every page uses: requests, error messages, dropped files, answers, and the choice of the classifier.

export const find = (selector, within = document) => within.querySelector(selector);

const mostBytes = Number(document.body.dataset.mostBytes);

/** Show an error message, which screen readers read out, or remove the last one. */
export function showError(sentence) {
  const place = find("#error");
  place.textContent = sentence || "";
  place.hidden = !sentence;
  if (sentence) place.scrollIntoView({ block: "nearest" });
}

/** Send a request and return the response, or throw an error whose message says what to do. */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. See whether app.py still runs, then try again.");
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Error(answer.detail || `The server answered ${response.status}. Try again.`);
}

/** Send a form with a file; a signal can end it. */
export async function sendFile(path, file, fields = {}, signal = undefined) {
  if (file.size > mostBytes) {
    throw new Error(`${file.name} is larger than ${Math.round(mostBytes / 1e6)} MB, which is the most. Cut it, or convert it to mp3.`);
  }
  const form = new FormData();
  form.append("file", file, file.name);
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return request(path, { method: "POST", body: form, signal });
}

/** Do something that may fail, and show the error if it does. */
export async function attempt(work) {
  showError();
  try {
    return await work();
  } catch (error) {
    showError(error.message);
    return undefined;
  }
}

/** Let files be dropped on an element, or anywhere on the page. */
export function acceptDrops(target, zone, take) {
  let depth = 0;
  target.addEventListener("dragenter", () => zone.classList.toggle("over", ++depth > 0));
  target.addEventListener("dragleave", () => zone.classList.toggle("over", --depth > 0));
  target.addEventListener("dragover", (event) => event.preventDefault());
  target.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    depth = 0;
    zone.classList.remove("over");
    const dropped = filesOf(event.dataTransfer); // at once, since the browser forgets what was dropped
    attempt(async () => {
      const files = await dropped;
      if (files.length) take(files);
    });
  });
}

/** Return the files that were dropped, recordings in folders included, by their names. */
async function filesOf(dropped) {
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...dropped.files];
  const files = [];
  for (const entry of entries) {
    const before = files.length;
    await addFiles(entry, files);
    if (files.length === before) throw new Error(`${entry.name} holds no recording. Drop another folder, or files.`);
  }
  return files.sort((one, other) => one.path.localeCompare(other.path, undefined, { numeric: true }));
}

const SOUNDS = document.body.dataset.sounds?.split(" "); // suffixes of recordings, where only those count

const isWanted = (name) => !name.startsWith(".") && (!SOUNDS || SOUNDS.includes(/\.[^.]*$/.exec(name.toLowerCase())?.[0]));

async function addFiles(entry, files, inFolder = false) {
  if (entry.isFile) {
    if (inFolder && !isWanted(entry.name)) return;
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    Object.defineProperty(file, "path", { value: entry.fullPath.slice(1) });
    files.push(file);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    if (!some.length) return;
    for (const one of some) if (!one.name.startsWith(".")) await addFiles(one, files, true);
  }
}

export function formatTime(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Return a share in percent, with a tenth where it matters: 0.3 %, 42 %, 99.7 %. */
export function formatPercent(share) {
  const isRound = share >= 0.9995 || (share >= 0.0995 && share < 0.9895);
  return `${(share * 100).toFixed(isRound ? 0 : 1)} %`;
}

/** Return how usual a sound is, as one label alone has it. */
export const formatScore = (score) => `score ${score.toFixed(1)}`;

/** Whether an answer is of one label alone, which has a score and no rivals. */
export const isAlone = (answer) => Object.keys(answer.labels).length === 1 && answer.score !== null;

/** Show the label, its probability and those of the others. */
export function showAnswer(answer) {
  find("#label").textContent = answer.label;
  find("#label").classList.toggle("unknown", !answer.known);
  const alone = isAlone(answer);
  const sure = alone ? "as usual" : `${formatPercent(answer.probability)} sure`;
  find("#probability").textContent = answer.known ? sure : alone ? "unusual" : "like none of the labels";
  const note = find("#note");
  note.hidden = answer.known;
  note.textContent = answer.known ? "" : `${alone ? "Its score," : `Nearest is ${answer.nearest}, but its score,`} ${answer.score.toFixed(1)}, is below the ${answer.threshold.toFixed(1)} that a known one reaches.`;
  find("#left-out").hidden = !answer.left_out;
  find("#left-out").textContent = answer.left_out ? `Answered without ${answer.left_out.join(", ")}: not every network takes a picture.` : "";
  const rows = Object.entries(answer.labels).slice(0, 10).map(([label, probability]) => {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = label;
    const cell = document.createElement("td");
    const bar = document.createElement("span");
    bar.className = "bar";
    bar.ariaHidden = "true";
    bar.style.setProperty("--share", probability);
    const figure = document.createElement("span");
    figure.textContent = formatPercent(probability);
    cell.append(bar, figure);
    row.append(name, cell);
    return row;
  });
  find("#bars").replaceChildren(...rows);
}

const REASON_WORDS = find("#reason-words")?.textContent;
let explained = null;

/** Offer to explain the answer for a file. */
export function offerExplanation(file) {
  explained = file;
  find("#reason-words").textContent = REASON_WORDS;
  find("#reason-shown").hidden = true;
  find("#explain").hidden = false;
  find("#explain").disabled = false;
}

find("#explain")?.addEventListener("click", () =>
  attempt(async () => {
    const file = explained;
    find("#explain").disabled = true;
    find("#reason-words").textContent = "Hiding one part after the other …";
    try {
      const reason = await (await sendFile("/explain", file)).json();
      if (file !== explained) return;
      find("#reason-words").textContent = reason.sentence;
      find("#reason-picture").src = reason.picture;
      find("#reason-picture").alt = `On the left what was seen, on the right what speaks for it in red and against it in blue. ${reason.sentence}`;
      find("#reason-shown").hidden = false;
      find("#explain").hidden = true;
    } catch (error) {
      if (file === explained) offerExplanation(file);
      throw error;
    }
  }),
);

/** Show what is under way, which screen readers read out, or that it is over. */
export function showBusy(words) {
  find("#busy").hidden = !words;
  find("#busy-words").textContent = words || "";
  find("#busy-rest").textContent = "";
  find("#busy-share").hidden = true;
}

/** Show how much is done, 0 to 1, and guess from how long it took how long the rest will take. */
export function showShare(share, seconds) {
  find("#busy-share").hidden = false;
  find("#busy-share").value = share;
  find("#busy-rest").textContent = share > 0.1 ? `about ${formatTime((seconds * (1 - share)) / share + 1)} left` : "";
}

let atWork = null; // what ends the request under way
find("#busy-cancel")?.addEventListener("click", stopWork);

/** End the request under way, and return what ends the next one. */
export function stopWork() {
  atWork?.abort();
  showBusy();
  atWork = new AbortController();
  return atWork;
}

/** Predict the label of a file and show it, unless it is cancelled or another file is given meanwhile. */
export async function predict(file, { busy, show }) {
  showError();
  const work = stopWork();
  const ticket = crypto.getRandomValues(new Uint32Array(4)).join("-");
  const begun = performance.now();
  find("#result").hidden = true;
  showBusy(busy);
  const watch = setInterval(async () => {
    const progress = await json(`/progress?ticket=${ticket}`, { signal: work.signal }).catch(() => null);
    if (work === atWork && progress?.share) showShare(progress.share, (performance.now() - begun) / 1000);
  }, 1000);
  try {
    const answer = await (await sendFile("/predict", file, { look: true, ticket }, work.signal)).json();
    if (work === atWork) show(answer, file);
  } catch (error) {
    if (work === atWork && error.name !== "AbortError") showError(error.message);
  } finally {
    clearInterval(watch);
    if (work === atWork) showBusy();
  }
}

find("#model")?.addEventListener("change", (event) =>
  attempt(async () => {
    await useModel(event.target.value);
    location.reload();
  }),
);

/** Use another classifier from now on. */
export function useModel(key) {
  return request("/model", { method: "POST", body: new URLSearchParams({ model: key }) });
}

/** Show at the top which classifiers there are and which is in use, and return that one. */
export async function showModels() {
  const models = await json("/models");
  find("#model").replaceChildren(...models.map((model) => new Option(model.name, model.key, model.in_use, model.in_use)));
  const used = models.find((model) => model.in_use);
  find("#networks").hidden = used.networks.length < 2;
  find("#networks").textContent = `${used.networks.length} networks`;
  find("#networks").title = used.networks.join(" + ");
  return used;
}

/** Send a request and return the JSON of its answer. */
export async function json(path, options) {
  return (await request(path, options)).json();
}

/** Let the browser save something under a name. */
export function save(content, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Make an element with a text and properties. */
export function make(tag, text = "", properties = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  return Object.assign(element, properties);
}
