// The drawer: the settings and exports that are not always visible.

import { button, choice, fraction, h, icon, toggle } from "./dom";
import type { Meta, Settings } from "./types";

export interface Panel {
  root: HTMLElement;
  sync(settings: Settings): void;
}

export type SavedFile = [word: string, title: string, made: () => void];

export function drawer(meta: Meta, change: (change: Partial<Settings>) => void, files: SavedFile[]): Panel {
  const alpha = fraction("opacity", "Opacity of what is most salient ([ and ])", 1, (value) => change({ alpha: value }));
  const floor = fraction("floor", "Hide the overlay below this level (1 is white)", 0.95, (value) => change({ floor: value }));
  const scale = choice("scale", "Which values are black and white", Object.keys(meta.scales), (value) => change({ normalise: value }));
  const colours = choice("colours", "Colour map", meta.colormaps, (value) => change({ colormap: value }));
  const points = toggle("gaze points", "Ring every place where somebody looked", (on) => change({ points: on }));
  const whole = String(meta.duration);
  const trail = choice("trail", "Length of the scanpaths, in seconds", ["0", "0.5", "1", "2", whole], (value) =>
    change({ trail: Number(value), points: true }),
  );
  trail.select.options[4].text = "all";
  const observer = choice("observer", "Whose gaze is shown", ["-1", ...meta.observers.map(String)], (value) =>
    change({ observer: Number(value), points: true }),
  );
  observer.select.options[0].text = "everybody";
  const peak = toggle("peak", "Mark the most salient pixel with a cross", (on) => change({ peak: on }));
  points.root.hidden = trail.root.hidden = !meta.gaze.length;
  observer.root.hidden = !meta.observers.length;
  const strips = meta.strips.map((strip) => ({ strip, ...toggle(strip, `Show ${strip} over time`, () => chosen()) }));
  const chosen = () => change({ strips: strips.filter(({ input }) => input.checked).map(({ strip }) => strip) });
  const overTime = h("fieldset", { class: "tinyhd-strips" }, h("legend", {}, "over time"), ...strips.map((each) => each.root));
  const buttons = files.map(([word, title, made]) => button(title, made, icon("save"), ` ${word}`));
  const pieces = [alpha.root, floor.root, scale.root, colours.root, points.root, trail.root, observer.root, peak.root, overTime, ...buttons];
  const root = h("div", { class: "tinyhd-drawer", hidden: true }, ...pieces);
  const sync = (now: Settings) => {
    [alpha.input.value, alpha.output.value] = [String(now.alpha), now.alpha.toFixed(2)];
    [floor.input.value, floor.output.value] = [String(now.floor), now.floor.toFixed(2)];
    [scale.select.value, colours.select.value] = [now.normalise, now.colormap];
    [points.input.checked, peak.input.checked] = [now.points, now.peak];
    [trail.select.value, observer.select.value] = [String(now.trail), String(now.observer)];
    for (const { strip, input } of strips) input.checked = now.strips.includes(strip);
  };
  return { root, sync };
}
