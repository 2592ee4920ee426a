import { attempt, useModel } from "./common.js";

for (const button of document.querySelectorAll(".use")) {
  button.addEventListener("click", () =>
    attempt(async () => {
      await useModel(button.dataset.key);
      location.reload();
    }),
  );
}
