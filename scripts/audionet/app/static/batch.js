// Many files: one row each, as they are answered, and a table that can be saved.

import { find, formatPercent, formatScore, isAlone, make, save, sendFile, showBusy, showError, showShare, stopWork } from "./common.js";

const COLUMNS = ["file", "label", "known", "nearest", "probability", "score", "threshold", "error"]; // as label_image.py --output
let rows = [];

/** Label files one after the other, and show a row for each, whose name can be pressed to look at the file. */
export async function labelAll(files, look) {
  showError();
  const work = stopWork();
  const begun = performance.now();
  const body = find("#batch-rows");
  rows = [];
  body.replaceChildren();
  for (const [place, file] of files.entries()) {
    showBusy(`File ${place + 1} of ${files.length}: ${file.name}`);
    if (place) showShare(place / files.length, (performance.now() - begun) / 1000);
    const row = { file: file.path || file.webkitRelativePath || file.name };
    try {
      Object.assign(row, await (await sendFile("/predict", file, {}, work.signal)).json(), { file: row.file });
    } catch (error) {
      if (work.signal.aborted) return;
      row.error = error.message;
    }
    rows.push(row);
    body.append(shown(row, () => look(file)));
  }
  showBusy();
}

function shown(row, look) {
  const line = make("tr");
  const name = make("th", "", { scope: "row" });
  const button = make("button", row.file, { type: "button", className: "link" });
  button.addEventListener("click", look);
  name.append(row.error ? row.file : button);
  line.append(name);
  if (row.error) {
    line.append(make("td", row.error, { colSpan: 3, className: "wrong" }));
  } else {
    const label = make("td", row.label);
    label.classList.toggle("wrong", !row.known);
    line.append(label, make("td", row.nearest), make("td", isAlone(row) ? formatScore(row.score) : formatPercent(row.probability)));
  }
  return line;
}

const cell = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

find("#batch-save").addEventListener("click", () => {
  const lines = [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => String(row[name] ?? "")))];
  save(lines.map((line) => line.map(cell).join(",") + "\n").join(""), "labels.csv", "text/csv");
});
