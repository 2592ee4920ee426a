import { attempt, find, json, request, save, useModel } from "./common.js";

const form = (fields) => ({ method: "POST", body: new URLSearchParams(fields) });

for (const item of document.querySelectorAll(".models li")) {
  const { key, name } = item.dataset;
  const act = (selector, work) => find(selector, item)?.addEventListener("click", () => attempt(work));
  act(".use", async () => {
    await useModel(key);
    location.reload();
  });
  act(".rename", async () => {
    const wanted = prompt("Name of this classifier", name);
    if (wanted === null) return;
    await json("/models/name", form({ model: key, name: wanted }));
    location.reload();
  });
  act(".remove", async () => {
    if (!confirm(`Remove the classifier ${name}? Its clips are kept.`)) return;
    await request(`/models?${new URLSearchParams({ model: key })}`, { method: "DELETE" });
    location.reload();
  });
  find(".download", item)?.addEventListener("change", (event) => {
    const select = event.target;
    const format = select.value;
    if (!format) return;
    const words = find(".under-way", item);
    words.textContent = format === "folder" ? "Packing …" : "Exporting and comparing. It takes a minute …";
    select.disabled = true;
    attempt(async () => {
      try {
        const response = await request(`/models/download?${new URLSearchParams({ model: key, format })}`);
        save(await response.blob(), `${name}.${format === "folder" ? "zip" : format}`);
      } finally {
        select.disabled = false;
        select.value = "";
        words.textContent = "";
      }
    });
  });
}
