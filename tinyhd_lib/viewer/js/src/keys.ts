// The actions of the viewer, and their keys.

import { button, h } from "./dom";
import type { Meta, Settings } from "./types";

export const FAR = 16; // frames of a long step
export const LONE = "needs a second map: maps={name: ..., name: ...}";

export interface Hands {
  change(change: Partial<Settings>): void;
  view(name: string): void;
  step(frames: number): void;
  go(frame: number): void;
  play(): void;
  loop(): void;
  fade(steps: number): void; // in tenths of the opacity
  zoom(factor: number): void; // 0 resets the zoom
  note(): void;
  region(): void;
  save(): void;
  settings(): void;
  full(): void;
  help(): void;
  close(): void;
}

// A line of the help: the keys as displayed there, their description, and the function that each key calls.
type Line = [shown: string, what: string, done: Record<string, () => void>];

function lines(meta: Meta, hands: Hands): Line[] {
  const views = meta.views.map((view, n): [string, () => void] => [`${n + 1}`, () => hands.view(view)]);
  return [
    ["space", "play, pause", { " ": hands.play }],
    ["← →", "a frame back, on", { ArrowLeft: () => hands.step(-1), ArrowRight: () => hands.step(1) }],
    ["↓ ↑", `${FAR} frames back, on`, { ArrowDown: () => hands.step(-FAR), ArrowUp: () => hands.step(FAR) }],
    ["Home End", "the first frame, the last", { Home: () => hands.go(0), End: () => hands.go(meta.frames - 1) }],
    ["[ ]", "opacity", { "[": () => hands.fade(-1), "]": () => hands.fade(1) }],
    ["l", "loop", { l: hands.loop }],
    ["n", "note at this frame", { n: hands.note }],
    ["r", "draw a region", { r: hands.region }],
    ["shift and arrows, Delete", "move or drop the selected region", {}], // handled by the outliner
    ["+ - 0", "zoom in, out, not at all", { "+": () => hands.zoom(1.25), "-": () => hands.zoom(0.8), "0": () => hands.zoom(0) }],
    ["f", "full screen", { f: hands.full }],
    ["s", "save the frame as a PNG", { s: hands.save }],
    ["?", "show or hide this", { "?": hands.help, Escape: hands.close }],
    [`1 ... ${views.length}`, meta.views.join(", "), Object.fromEntries(views)],
  ];
}

export function keys(meta: Meta, hands: Hands): Map<string, () => void> {
  return new Map(lines(meta, hands).flatMap(([, , done]) => Object.entries(done)));
}

// Whether a key press saves the notebook: the viewer leaves it to JupyterLab.
export function isSave({ key, ctrlKey, metaKey }: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey">): boolean {
  return (ctrlKey || metaKey) && key.toLowerCase() === "s";
}

export function help(meta: Meta, hands: Hands): HTMLElement {
  const rows = lines(meta, hands).map(([shown, what]) => h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, shown)), h("td", {}, what)));
  const more = "Drag on the timeline to choose a range, double-click to clear it; shift + wheel zooms in time, control + wheel in the picture.";
  const table = h("table", {}, h("caption", {}, "Keys, while the viewer has the focus"), h("tbody", {}, ...rows));
  return h("div", { class: "tinyhd-help", role: "region", "aria-label": "Keys", hidden: true }, table, h("p", {}, more), button("Close (Escape)", hands.close, "close"));
}
