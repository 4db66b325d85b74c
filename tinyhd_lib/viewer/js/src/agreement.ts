// How much the maps of a frame agree: a table of their pairwise correlations, shown with the grid view.

import { h } from "./dom";
import { correlation } from "./tiles";
import type { FrameMap } from "./types";

export function agreement(maps: [name: string, map: FrameMap | null | undefined][], frame: number): HTMLTableElement {
  const head = h("tr", {}, h("th", { scope: "col" }, "CC"), ...maps.map(([name]) => h("th", { scope: "col" }, name)));
  const rows = maps.map(([name, first], row) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      ...maps.map(([, second], column) => {
        const value = row === column ? 1 : first && second ? correlation(first, second) : Number.NaN;
        const shade = Math.round(45 * Math.max(value || 0, 0));
        return h("td", { style: `background: color-mix(in srgb, var(--accent) ${shade}%, transparent)` }, Number.isNaN(value) ? "" : value.toFixed(3));
      }),
    ),
  );
  return h("table", {}, h("caption", {}, `How the maps of frame ${frame} correlate`), h("thead", {}, head), h("tbody", {}, ...rows));
}
