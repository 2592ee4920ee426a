"use strict";
// Sorts the table of recordings by any column, and shows those alone that a cell of the confusion matrix leads to.
const table = document.querySelector("#recordings table");
if (table) {
  const body = table.tBodies[0];
  const shown = document.querySelector("#shown");
  const headers = [...table.tHead.rows[0].cells];

  const sortBy = (header) => {
    const column = headers.indexOf(header);
    const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const compare = new Intl.Collator(undefined, {numeric: true}).compare;
    const rows = [...body.rows].sort((first, second) => sign * compare(value(first), value(second)));
    headers.forEach((each) => each.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    body.append(...rows);
  };
  headers.forEach((header) => header.querySelector("button")?.addEventListener("click", () => sortBy(header)));

  const showPair = () => {
    const pair = decodeURIComponent(location.hash.slice(1));
    const rows = [...body.rows];
    const chosen = rows.filter((row) => row.dataset.pair === pair);
    rows.forEach((row) => { row.hidden = chosen.length > 0 && row.dataset.pair !== pair; });
    shown.hidden = chosen.length === 0;
    shown.querySelector("span").textContent = `${chosen.length} of ${rows.length} shown.`;
    if (chosen.length) document.querySelector("#recordings").scrollIntoView();
  };
  shown.querySelector("button").addEventListener("click", () => { history.replaceState(null, "", "#recordings"); showPair(); });
  addEventListener("hashchange", showPair);
  showPair();
}
