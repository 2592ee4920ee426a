import { find, offerReason, sayBusy, sayFault, send, showAnswer, takeDrops } from "./common.js";

let latest = 0;

async function label(file) {
  const turn = ++latest;
  sayFault();
  find("#result").hidden = true;
  sayBusy(`Looking at ${file.name} …`);
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
  if (answer.kind !== "picture") {
    sayFault(`${file.name} is a recording. The page Listen is for those.`);
    return;
  }
  find("#result").hidden = false;
  find("#picture").src = answer.picture;
  find("#picture").alt = `The picture ${file.name}`;
  showAnswer(answer);
  offerReason(file);
  find("#result").focus();
}

find("#file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) label(file);
  event.target.value = "";
});
takeDrops(document, find("#drop"), ([file]) => label(file));
