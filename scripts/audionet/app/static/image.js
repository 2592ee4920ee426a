import { find, label, offerReason, sayFault, showAnswer, takeDrops } from "./common.js";

const look = (file) => label(file, { busy: `Looking at ${file.name} …`, show });

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
  if (file) look(file);
  event.target.value = "";
});
takeDrops(document, find("#drop"), ([file]) => look(file));
