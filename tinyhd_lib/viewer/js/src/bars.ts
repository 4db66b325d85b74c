// The controls that are always visible: the choice of view and map, the tools, and the playback controls.

import { button, choice, h, icon, tool } from "./dom";
import type { Panel } from "./drawer";
import { FAR, type Hands, LONE } from "./keys";
import type { Meta, Settings } from "./types";

export function toolbar(meta: Meta, hands: Hands): Panel {
  const isAlone = meta.sources.length < 2;
  const views = meta.views.map((view, n) => {
    const lone = isAlone && meta.comparing.includes(view);
    const made = button(lone ? LONE : `${view} (key ${n + 1})`, () => hands.view(view), view);
    made.disabled = lone;
    return made;
  });
  const source = choice("map", "Which map is shown", meta.sources, (value) => hands.change({ source: value }));
  const other = choice("against", "The second map, for wipe and difference", meta.sources, (value) => hands.change({ other: value }));
  other.root.hidden = isAlone;
  const tools = [
    tool("region", "Draw a region (r)", hands.region),
    tool("note", "Note at this frame (n)", hands.note),
    tool("save", "Save the frame as a PNG (s)", hands.save),
    tool("settings", "Settings", hands.settings),
    tool("full", "Full screen (f)", hands.full),
    tool("help", "Keys (?)", hands.help),
  ];
  const root = h(
    "div",
    { class: "tinyhd-toolbar" },
    h("div", { class: "tinyhd-views", role: "group", "aria-label": "View" }, ...views),
    source.root,
    other.root,
    h("div", { class: "tinyhd-tools", role: "group", "aria-label": "Tools" }, ...tools),
  );
  const sync = (now: Settings) => {
    views.forEach((each, n) => each.setAttribute("aria-pressed", String(meta.views[n] === now.view)));
    [source.select.value, other.select.value] = [now.source, now.other];
  };
  return { root, sync };
}

export function transport(meta: Meta, hands: Hands): Panel & { jump: HTMLInputElement } {
  const speed = choice("speed", "Speed, relative to the video's own", meta.speeds.map(String), (value) => hands.change({ speed: Number(value) }));
  const play = tool("play", "Play (space)", hands.play);
  const loop = tool("loop", "Begin again at the end (l)", hands.loop);
  const most = String(meta.frames - 1);
  const jump = h("input", { type: "number", min: "0", max: most, "aria-label": "Go to frame", title: "Go to frame", change: () => hands.go(Number(jump.value)) });
  const range = h("span", { class: "tinyhd-range" });
  const root = h(
    "div",
    { class: "tinyhd-transport" },
    tool("far_back", `${FAR} frames back (↓)`, () => hands.step(-FAR)),
    tool("back", "A frame back (←)", () => hands.step(-1)),
    play,
    tool("on", "A frame on (→)", () => hands.step(1)),
    tool("far_on", `${FAR} frames on (↑)`, () => hands.step(FAR)),
    jump,
    h("span", { class: "tinyhd-of" }, `of ${meta.frames}`),
    speed.root,
    loop,
    range,
  );
  const sync = (now: Settings) => {
    speed.select.value = String(now.speed);
    play.replaceChildren(icon(now.playing ? "pause" : "play"));
    play.setAttribute("aria-label", now.playing ? "Pause (space)" : "Play (space)");
    loop.setAttribute("aria-pressed", String(now.loop));
    range.textContent = now.stop < 0 ? "" : `frames ${now.start} to ${now.stop}`;
  };
  return { root, sync, jump };
}
