// The list of regions, and the table of how much attention they get.

import { type Attention, attention, sharesCsv, summary, tableCsv } from "./attention";
import { COLOURS } from "./colours";
import { button, h, labelled, tool } from "./dom";
import { csv, download } from "./files";
import type { Outliner } from "./outliner";
import type { Parts } from "./parts";
import type { Status } from "./status";
import type { Meta, Region, Settings } from "./types";

const PAUSE = 300; // milliseconds without another change before anything is computed

export class RegionPanel {
  readonly root = h("div", { class: "tinyhd-regions", hidden: true });
  private list = h("ul", {});
  private table = h("div", { class: "tinyhd-table" });
  private listed: Region[] = [];
  private selected = -1;
  private later: ReturnType<typeof setTimeout> | undefined;
  private turn = 0; // counts computations: only the latest is shown

  constructor(
    private meta: Meta,
    private parts: Parts,
    private outliner: Outliner,
    private status: Status,
    private asked: { go(frame: number): void; times(): ArrayLike<number>; computed(found: Attention[]): void },
  ) {
    this.root.append(this.list, this.table);
  }

  sync({ regions }: Settings): void {
    if (regions !== this.listed) {
      this.turn += 1;
      clearTimeout(this.later);
      this.later = setTimeout(() => void this.compute(), PAUSE);
    } else if (this.selected === this.outliner.selected) return;
    [this.listed, this.selected] = [regions, this.outliner.selected];
    this.root.hidden = !regions.length;
    this.list.replaceChildren(...regions.map((region, n) => this.line(region, n)));
  }

  dispose(): void {
    this.turn += 1;
    clearTimeout(this.later);
  }

  private line(region: Region, n: number): HTMLElement {
    const { outliner } = this;
    const name = h("input", { type: "text", value: region.name, "aria-label": `Name of ${region.name}` });
    name.addEventListener("change", () => outliner.rename(n, name.value.trim()));
    const moves = h("input", { type: "checkbox", "aria-label": `${region.name} moves` });
    moves.checked = outliner.moves(region);
    moves.addEventListener("change", () => outliner.setMoves(n, moves.checked));
    const keys = moves.checked ? region.keys.map(({ frame }) => button("Go to this key frame", () => this.asked.go(frame), `${frame}`)) : [];
    const isSelected = n === outliner.selected;
    const colour = h("i", { style: `background: ${COLOURS[n % COLOURS.length]}` });
    const select = button("Select, to move it or its corners (shift and arrows too)", () => outliner.select(isSelected ? -1 : n), colour, "select");
    select.setAttribute("aria-pressed", String(isSelected));
    const moving = labelled(moves, h("span", {}, "moves"));
    moving.title = "Key frames: place the region at some frames; it moves in straight lines between them";
    return h("li", {}, select, name, moving, ...keys, tool("×", `Drop ${region.name}`, () => outliner.drop(n)));
  }

  private async compute(): Promise<void> {
    const turn = this.turn;
    const regions = this.listed;
    if (!regions.length) {
      this.table.replaceChildren();
      this.asked.computed([]);
      return;
    }
    const what = "attention in regions";
    try {
      const found = await attention(this.parts, this.meta, regions, (done, total) => {
        this.status.progress(what, done, total);
        return turn === this.turn;
      });
      if (!found || turn !== this.turn) return;
      this.tabulate(found);
      this.asked.computed(found);
    } catch (error) {
      this.status.tell((error as Error).message);
    } finally {
      if (turn === this.turn) this.status.progress(what, 1, 1);
    }
  }

  private tabulate(found: Attention[]): void {
    const times = this.asked.times();
    const rows = found.map((each) => summary(each, times));
    const percent = (value: number) => (Number.isFinite(value) ? `${(100 * value).toFixed(1)} %` : "");
    const people = rows.some(({ looked }) => Number.isFinite(looked));
    const heads = ["region", "map", "area", "attention", "attention / area", "peak", ...(people ? ["looked there", "median first look"] : [])];
    const all = this.meta.observers.length;
    const lines = rows.map((row) => {
      const peak = row.peakFrame < 0 ? "" : button(`Go to frame ${row.peakFrame}`, () => this.asked.go(row.peakFrame), `${percent(row.peak)} at ${row.peakFrame}`);
      const looked = people ? [Number.isFinite(row.looked) ? `${row.looked} of ${all}` : "", Number.isFinite(row.first) ? `${row.first.toFixed(2)} s` : ""] : [];
      const cells = [row.region, row.source, percent(row.area), percent(row.mean), Number.isFinite(row.lift) ? row.lift.toFixed(2) : "", peak, ...looked];
      return h("tr", {}, ...cells.map((cell) => h("td", {}, cell)));
    });
    const head = h("tr", {}, ...heads.map((name) => h("th", { scope: "col" }, name)));
    const save = (word: string, name: string, content: () => string[][]) =>
      button("Save as a table", () => download(`${this.meta.name}_${name}.csv`, csv(content())), word);
    this.table.replaceChildren(
      h("table", {}, h("caption", {}, "Share of attention, mean over frames; people: share of their gaze points"), h("thead", {}, head), h("tbody", {}, ...lines)),
      save("table as CSV", "regions", () => tableCsv(rows)),
      save("every frame as CSV", "regions_by_frame", () => sharesCsv(found, times)),
    );
  }
}
