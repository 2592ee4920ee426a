import { acceptDrops, find, offerExplanation, predict, showAnswer, showError } from "./common.js";

const look = (file) => predict(file, { busy: `Looking at ${file.name} …`, show });

function show(answer, file) {
  if (answer.kind !== "picture") {
    showError(`${file.name} is a recording. The page Listen is for those.`);
    return;
  }
  find("#result").hidden = false;
  find("#picture").src = answer.picture;
  find("#picture").alt = `The picture ${file.name}`;
  showAnswer(answer);
  offerExplanation(file);
  find("#result").focus();
}

find("#file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) look(file);
  event.target.value = "";
});
acceptDrops(document, find("#drop"), ([file]) => look(file));
