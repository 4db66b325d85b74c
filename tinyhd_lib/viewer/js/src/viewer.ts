// The viewer: a picture, its caption, what plays it, the axis of time, and what is known of regions and notes.

import { agreement } from "./agreement";
import { FAR, type Hands, LONE, toolbar, transport } from "./bars";
import { h } from "./dom";
import { drawer, type Panel } from "./drawer";
import { Easel } from "./easel";
import { download } from "./files";
import { film } from "./film";
import { join, type Member, type Moment, tell } from "./group";
import type { Host } from "./host";
import { isOfMaps, mapTraces } from "./map_traces";
import { Notes } from "./notes";
import { Outliner } from "./outliner";
import { Parts } from "./parts";
import { Player } from "./player";
import { RegionPanel } from "./region_panel";
import { Scene } from "./scene";
import { Stage } from "./stage";
import { Thumbs } from "./thumbs";
import { type Lane, Timeline } from "./timeline";
import { clock, frameAt, short } from "./times";
import type { FrameMap, Meta, Point, Settings, Trace } from "./types";

const SELDOM = 80; // milliseconds between two looks of what is beside the picture, while it plays
const TOGETHER = 1000; // milliseconds between two looks of a group at each other's time
const APART = 0.15; // seconds that players of a group may be apart
const KEYS: [string, string][] = [
  ["space", "play, pause"],
  ["← →", "a frame back, on"],
  ["↓ ↑", "16 frames back, on"],
  ["Home End", "the first frame, the last"],
  ["[ ]", "opacity"],
  ["l", "loop"],
  ["n", "note at this frame"],
  ["r", "draw a region"],
  ["shift and arrows, Delete", "move or drop the selected region"],
  ["+ - 0", "zoom in, out, not at all"],
  ["f", "full screen"],
  ["s", "save the frame as a PNG"],
  ["?", "show or hide this"],
];

export class Viewer implements Member {
  readonly player: Player;
  readonly parts: Parts;
  private meta: Meta;
  private now: Settings;
  private frame = -1; // on the screen
  private image: CanvasImageSource | null = null;
  private scene: Scene;
  private easel: Easel;
  private stage: Stage;
  private timeline: Timeline;
  private outliner: Outliner;
  private regions: RegionPanel;
  private notes: Notes;
  private thumbs: Thumbs;
  private mapTraces = new Map<string, Promise<Record<string, Trace> | null>>();
  private traces: { strip: string; name: string; trace: Trace }[] = [];
  private pointer: Point | null = null;
  private told = "";
  private gone = false;
  private scheduled = false;
  private cancelled = false;
  private toldAt = 0;
  private leadAt = 0;
  private watching: ResizeObserver;
  private leave: () => void;

  private root: HTMLElement;
  private caption = h("div", { class: "tinyhd-caption" });
  private reading = h("div", { class: "tinyhd-reading" });
  private status = h("div", { class: "tinyhd-status", role: "status", "aria-live": "polite" });
  private bar = h("div", { class: "tinyhd-bar", "aria-hidden": "true" });
  private agreement = h("div", { class: "tinyhd-table" });
  private progress = h("progress", { hidden: true });
  private cancel = h("button", { type: "button", hidden: true, click: () => this.stopExport() }, "cancel");
  private help = h("div", { class: "tinyhd-help", hidden: true });
  private panels: { tools: Panel; transport: Panel & { jump: HTMLInputElement }; drawer: Panel };

  constructor(
    el: HTMLElement,
    private host: Host,
  ) {
    this.meta = host.meta;
    this.now = host.settings();
    this.parts = new Parts(host);
    this.scene = new Scene(this.parts, this.meta);
    this.easel = new Easel(this.scene, (text) => this.tell(text));
    this.timeline = new Timeline(this.meta.frames, {
      go: (frame) => this.go(frame),
      choose: (start, stop) => this.change({ start, stop }),
    });
    this.player = new Player(this.parts, this.meta, {
      frame: (index, image) => this.onFrame(index, image),
      playing: (playing) => this.change({ playing }),
      trouble: (text) => this.tell(text),
    });
    this.outliner = new Outliner({
      regions: () => this.now.regions,
      frame: () => Math.max(this.frame, 0),
      change: (regions) => this.change({ regions }),
      redraw: () => this.soon(),
      tell: (text) => this.tell(text),
    });
    this.regions = new RegionPanel(this.meta, this.parts, this.outliner, {
      go: (frame) => this.go(frame),
      times: () => this.player.times,
      computed: () => this.showLanes(),
      progress: (what, done, total) => this.tellProgress(what, done, total),
      tell: (text) => this.tell(text),
    });
    this.notes = new Notes(this.meta, {
      go: (frame) => this.go(frame),
      change: (change) => this.change(change),
      times: () => this.player.times,
      leave: () => this.root.focus(),
    });
    this.thumbs = new Thumbs(this.parts, this.meta, (frame) => this.go(frame));
    const video = this.player.video;
    this.stage = new Stage(this.pointing(), video, ...this.easel.canvases);
    this.easel.canvases[0].setAttribute("role", "img");
    this.panels = {
      tools: toolbar(this.meta, this.hands()),
      transport: transport(this.meta, this.hands()),
      drawer: drawer(this.meta, (change) => this.change(change), this.files()),
    };
    this.root = h(
      "div",
      { class: "tinyhd-viewer", tabindex: "0", role: "group", "aria-label": "Video with its saliency map" },
      this.panels.tools.root,
      this.stage.root,
      h("div", { class: "tinyhd-under" }, this.caption, this.bar),
      this.reading,
      this.panels.transport.root,
      this.timeline.root,
      this.thumbs.root,
      this.agreement,
      this.regions.root,
      this.notes.root,
      this.panels.drawer.root,
      this.help,
      h("div", { class: "tinyhd-told" }, this.status, this.progress, this.cancel),
    );
    this.root.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes "1" for a heading, and "x" cuts the cell
    this.fillHelp();
    el.append(this.root);
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.watching = new ResizeObserver(() => this.resized());
    this.watching.observe(this.root);
    this.leave = join(this);
    host.observe(() => this.onSettings());
    host.listen((what) => {
      if (what.said !== undefined) this.tell(what.said);
      if (what.progress) this.tellProgress(...what.progress);
      if (what.ready) void this.openVideo();
    });
    void this.begin();
  }

  dispose(): void {
    this.gone = true;
    this.leave();
    this.regions.dispose();
    this.thumbs.dispose();
    this.player.dispose();
    this.easel.dispose();
    this.watching.disconnect();
  }

  group(): string {
    return this.now.group;
  }

  // Do as another viewer of the group does.
  follow({ time, playing, speed }: Moment): void {
    const { times } = this.player;
    if (!times.length) return;
    const change: Partial<Settings> = {};
    const apart = Math.abs((times[Math.max(this.frame, 0)] ?? 0) - time);
    if (!playing || !this.now.playing || apart > APART) change.frame = frameAt(times, time + 1e-6);
    if (playing !== this.now.playing) change.playing = playing;
    if (speed !== this.now.speed) change.speed = speed;
    if (Object.keys(change).length) this.set(change);
  }

  change(change: Partial<Settings>): void {
    this.set(change);
    if ("frame" in change || "playing" in change || "speed" in change) this.lead();
  }

  go(frame: number): void {
    if (Number.isFinite(frame)) this.change({ frame: Math.min(Math.max(Math.round(frame), 0), this.meta.frames - 1) });
  }

  private set(change: Partial<Settings>): void {
    const before = this.now;
    this.now = { ...before, ...change };
    const playing = this.now.playing && before.playing && Object.keys(change).every((name) => name === "frame");
    this.host.set(change, !playing);
    this.apply(before);
  }

  private lead(): void {
    const { frame, playing, speed } = this.now;
    tell(this, { time: this.player.times[frame] ?? 0, playing, speed });
    this.leadAt = performance.now();
  }

  private async begin(): Promise<void> {
    try {
      await this.player.begin();
      this.timeline.times = this.player.times;
      this.player.seek(this.now.frame);
      this.apply(null);
      await this.openVideo();
    } catch (error) {
      this.tell((error as Error).message);
    }
  }

  private async openVideo(): Promise<void> {
    try {
      await this.player.open();
      await this.thumbs.open();
    } catch (error) {
      if (this.host.live) this.tell((error as Error).message);
    }
  }

  // Settings that came from elsewhere.
  private onSettings(): void {
    const before = this.now;
    const next = this.host.settings();
    if (JSON.stringify(before) === JSON.stringify(next)) return;
    // While it plays, the kernel's frame is an echo of ours.
    if (before.playing && next.playing && Math.abs(next.frame - this.frame) < 3 * this.meta.chunk) next.frame = before.frame;
    for (const name of ["regions", "notes"] as const) // the same lists, or they would be taken for new ones
      if (JSON.stringify(before[name]) === JSON.stringify(next[name])) Object.assign(next, { [name]: before[name] });
    this.now = next;
    this.apply(before);
  }

  private apply(before: Settings | null): void {
    const { now, player, panels } = this;
    player.loop = now.loop;
    player.range = [Math.max(now.start, 0), now.stop < 0 ? this.meta.frames - 1 : now.stop];
    if (!before || now.speed !== before.speed) player.setSpeed(now.speed);
    if (now.playing !== player.playing) {
      if (now.playing) player.play();
      else player.pause();
    }
    if (now.frame !== this.frame && (!now.playing || now.frame !== before?.frame)) player.seek(now.frame);
    const traced = ["strips", "source", "other", "view"] as const;
    if (!before || traced.some((name) => String(now[name]) !== String(before[name]))) void this.showTraces();
    for (const panel of [...Object.values(panels), this.notes, this.regions]) panel.sync(now);
    this.stage.root.dataset.view = now.view;
    this.stage.setCells(this.easel.cells(now.view), this.meta.size[0] / this.meta.size[1]);
    this.agreement.hidden = now.view !== "grid";
    if (now.frame === this.frame || now.playing) void this.fetch().then(() => this.soon()); // else the frame that comes is painted
  }

  // Paint before the browser shows the next picture, once for all that changed until then.
  private soon(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.regions.sync(this.now);
      this.paint();
    });
  }

  private onFrame(frame: number, image: CanvasImageSource): void {
    this.image = image;
    this.frame = frame;
    if (this.now.playing && frame !== this.now.frame) {
      this.now = { ...this.now, frame };
      this.host.set({ frame }, false);
      if (performance.now() - this.leadAt > TOGETHER) this.lead();
    }
    if (this.scene.isHere(this.now, frame)) this.paint();
    else void this.fetch().then(() => this.frame === frame && this.soon());
    if (frame % this.meta.chunk === 0 || !this.now.playing) {
      void this.scene.fetchAhead(this.now, frame);
      void this.player.need(this.parts.chunkOf(frame) + 1).catch(() => undefined);
    }
  }

  private async fetch(): Promise<void> {
    if (this.frame < 0) return;
    try {
      await this.scene.fetch(this.now, this.frame);
    } catch (error) {
      this.tell((error as Error).message);
    }
  }

  private paint(): void {
    const { now, frame, scene, image } = this;
    const colours = scene.table(now.colormap);
    if (!image || !colours || !scene.diverging || this.gone) return;
    const quick = now.playing && this.player.isVideo && this.easel.kind === "WebGL" && now.view !== "grid";
    this.easel.draw(now, frame, image, this.size(quick), quick, this.outliner.outlines());
    this.root.dataset.frame = String(frame);
    if (quick && performance.now() - this.toldAt < SELDOM) return; // the pictures come first
    this.toldAt = performance.now();
    const first = this.parts.map(now.source, frame) ?? null;
    this.describe(first);
    this.showScale(first, colours);
    this.read();
    this.timeline.update(frame, now.notes, this.player.range);
    if (now.view === "grid") this.agreement.replaceChildren(agreement(this.meta.sources.map((name) => [name, this.parts.map(name, frame)]), frame));
    const { jump } = this.panels.transport;
    if (document.activeElement !== jump) jump.value = String(frame);
  }

  // The size that a frame is drawn at: no finer than the screen shows it, unless it is looked at closely; half as
  // fine where only what is smooth is laid over the video that plays.
  private size(quick: boolean): [number, number] {
    const finest = quick && this.now.view !== "contours" ? 2 : 1;
    const [width, height] = this.meta.size.map((side) => side / finest);
    const [columns] = this.easel.cells(this.now.view);
    const seen = (this.stage.root.clientWidth * (window.devicePixelRatio || 1) * this.stage.scale) / finest / columns;
    const across = Math.min(width, Math.max(320 / finest / columns, seen));
    return [Math.round(across), Math.round((height * across) / width)];
  }

  private describe(first: FrameMap | null): void {
    const { now, frame } = this;
    const what: Record<string, string> = {
      wipe: `left ${now.source}, right ${now.other}`,
      difference: `${now.source} more (orange, +) or less (purple, -) than ${now.other}`,
      grid: this.meta.sources.join(", "),
    };
    const missing = first ? "" : "; no map of this frame";
    const time = clock(this.player.times[frame] ?? 0);
    const caption = `frame ${frame}, ${time}; ${now.view}: ${what[now.view] ?? now.source}${missing}`;
    this.caption.textContent = caption;
    this.easel.canvases[0].setAttribute("aria-label", `${caption}; ${now.normalise}: ${this.meta.scales[now.normalise]}`);
  }

  private showScale(first: FrameMap | null, colours: Uint8Array): void {
    const { now } = this;
    const [low, high] = this.scene.scale(now.source, now.normalise) ?? [first?.low ?? 0, first?.high ?? 1];
    const table = now.view === "difference" ? this.scene.diverging : colours;
    const ticks = now.view === "difference" ? ["less", "equal", "more"] : [low, (low + high) / 2, high].map((each) => short(each));
    const stops = Array.from({ length: 17 }, (_, n) => Math.min(16 * n, 255)).map(
      (at) => `rgb(${[0, 1, 2].map((each) => table?.[3 * at + each]).join(" ")})`,
    );
    this.bar.style.setProperty("--ramp", `linear-gradient(to right, ${stops.join(", ")})`);
    this.bar.title = this.meta.scales[now.normalise];
    this.bar.replaceChildren(...ticks.map((tick) => h("span", {}, tick)));
  }

  // Say what the maps hold where the pointer is.
  private read(): void {
    if (!this.pointer) {
      this.reading.textContent = "point at the picture to read the map";
      return;
    }
    const [x, y] = this.pointer;
    const at = (part: number, length: number) => Math.min(Math.floor(part * length), length - 1);
    const [width, height] = this.meta.size;
    const sources = this.scene.sources(this.now);
    const values = sources.map((name) => {
      const map = this.parts.map(name, this.frame);
      if (!map) return `${name}: no map`;
      const level = map.levels[at(y, map.rows) * map.columns + at(x, map.columns)];
      const value = map.low + (level / 255) * (map.high - map.low);
      const below = map.levels.reduce((count, each) => count + Number(each <= level), 0);
      return `${sources.length > 1 ? `${name} ` : ""}${value < 0.01 ? value.toExponential(2) : value.toPrecision(3)}, percentile ${((100 * below) / map.levels.length).toFixed(1)}`;
    });
    this.reading.textContent = `x ${at(x, width)}, y ${at(y, height)}: ${values.join("; ")} of the frame`;
  }

  private async showTraces(): Promise<void> {
    const { strips, source, other, view } = this.now;
    const pair = this.scene.sources(this.now);
    const several = view === "side-by-side" ? [...new Set([source, other])] : [...new Set(pair)];
    const wanted = strips.flatMap((strip) => (this.meta.shared.includes(strip) ? [""] : several).map((name) => ({ strip, name })));
    const found = await Promise.allSettled(wanted.map(({ strip, name }) => (isOfMaps(strip) ? this.ofMaps(strip, name) : this.parts.trace(strip, name))));
    if (this.now.strips !== strips && String(this.now.strips) !== String(strips)) return;
    if (this.now.source !== source) return;
    this.traces = found.flatMap((each, n) => (each.status === "fulfilled" ? [{ ...wanted[n], trace: each.value }] : []));
    const failed = found.find((each): each is PromiseRejectedResult => each.status === "rejected");
    if (failed && this.host.live) this.tell((failed.reason as Error).message);
    this.showLanes();
    const [first] = this.traces;
    this.thumbs.show(first?.strip ?? "", first?.trace);
  }

  // What the maps of a source tell, computed once.
  private async ofMaps(strip: string, source: string): Promise<Trace> {
    const { parts, meta } = this;
    const told = (done: number, total: number) => {
      if (total > 8) this.tellProgress(`maps of ${source} over time`, done, total);
      return !this.gone;
    };
    const coming = this.mapTraces.get(source) ?? mapTraces(parts, meta, source, told);
    this.mapTraces.set(source, coming);
    coming.catch(() => this.mapTraces.delete(source));
    const traces = await coming;
    if (!traces) throw new Error("closed");
    return traces[strip];
  }

  private showLanes(): void {
    const lanes: Lane[] = this.now.strips.map((strip) => {
      const own = this.traces.filter((each) => each.strip === strip);
      const lines = own.map(({ name, trace }, n) => ({ name, values: trace.values, colour: n, dash: n }));
      return { title: strip, unit: own[0]?.trace.unit ?? "", lines };
    });
    const shown = this.regions.found.filter(({ source }) => source === "people" || this.scene.sources(this.now).includes(source));
    const [regions, sources] = [shown.map(({ region }) => region), shown.map(({ source }) => source)].map((names) => [...new Set(names)]);
    const lines = shown.map(({ region, source, shares }) => ({
      name: sources.length > 1 ? `${region}, ${source}` : region,
      values: shares.map((share) => 100 * share),
      colour: regions.indexOf(region),
      dash: sources.indexOf(source),
    }));
    if (lines.length) lanes.push({ title: "attention in", unit: "%", lines });
    this.timeline.show(lanes);
  }

  private hands(): Hands {
    return {
      change: (change) => this.change(change),
      step: (frames) => this.go(this.frame + frames),
      go: (frame) => this.go(frame),
      note: () => this.notes.add(Math.max(this.frame, 0)),
      region: () => this.outliner.begin(),
      save: () => this.save(),
      settings: () => (this.panels.drawer.root.hidden = !this.panels.drawer.root.hidden),
      full: () => void (document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen?.()),
      help: () => (this.help.hidden = !this.help.hidden),
    };
  }

  private pointing() {
    return {
      press: (at: Point, near: number) => {
        this.root.focus({ preventScroll: true });
        if (this.now.view !== "wipe" || this.outliner.isDrawing) return this.outliner.press(at, near);
        this.change({ border: at[0] });
        return true;
      },
      drag: (at: Point) => {
        if (this.outliner.drag(at)) return true;
        if (this.now.view === "wipe") this.change({ border: at[0] });
        return this.now.view === "wipe";
      },
      release: (at: Point, near: number) => void this.outliner.release(at, near),
      over: (at: Point | null) => {
        this.pointer = at;
        this.read();
      },
      zoomed: () => this.soon(),
    };
  }

  private files(): [word: string, title: string, made: () => void][] {
    const short_: [string, string, () => void] = ["WebP", "Save the first ten seconds of the range as a picture that moves", () => void this.saveFilm()];
    if (!this.host.live) return [short_];
    return [
      ["mp4", "Save the range as it is shown, with its sound", () => this.host.act("save_video")],
      short_,
      ["JSON", "Save the view, to open it again with SaliencyViewer.from_state", () => this.host.act("save_state")],
      ["HTML", "Save a page that opens anywhere, without Python", () => this.host.act("save_html")],
    ];
  }

  private save(): void {
    if (this.host.live) {
      this.host.act("save_frame");
      return;
    }
    this.player.pause();
    this.set({ playing: false });
    this.paint();
    this.easel.flattened(this.now.view).toBlob((blob) => blob && download(`${this.meta.name}_${this.frame}.png`, blob));
  }

  private async saveFilm(): Promise<void> {
    this.cancelled = false;
    const regions = new Outliner({ regions: () => this.now.regions, frame: () => at, change: () => undefined, redraw: () => undefined, tell: () => undefined });
    let at = 0;
    const what = "making the WebP";
    const outlines = (frame: number) => {
      at = frame;
      return regions.outlines();
    };
    try {
      const made = await film(this.scene, { ...this.now }, outlines, (done, total) => {
        this.tellProgress(what, done, total);
        return !this.cancelled && !this.gone;
      });
      if (made) download(`${this.meta.name}_${this.now.view}.webp`, made);
      this.tell(made ? `saved ${this.meta.name}_${this.now.view}.webp, ${(made.size / 2 ** 20).toFixed(1)} MiB` : `${what}: cancelled`);
    } catch (error) {
      this.tell((error as Error).message);
    } finally {
      this.progress.hidden = this.cancel.hidden = true;
    }
  }

  private stopExport(): void {
    this.cancelled = true;
    this.host.act("cancel");
  }

  private fillHelp(): void {
    const { views } = this.meta;
    const rows = [...KEYS, [`1 ... ${views.length}`, views.join(", ")]].map(([key, what]) => h("tr", {}, h("td", {}, h("kbd", {}, key)), h("td", {}, what)));
    this.help.append(h("table", {}, h("caption", {}, "Keys, while the viewer has the focus"), ...rows));
    const more = "Drag on the timeline to choose a range, twice click to let it go; shift and wheel zoom in time, control and wheel in the picture.";
    this.help.append(h("p", {}, more));
  }

  private tell(text: string): void {
    this.told = text;
    this.status.textContent = text;
  }

  private tellProgress(what: string, done: number, total: number): void {
    this.progress.hidden = done >= total;
    this.cancel.hidden = this.progress.hidden || !["writing the video", "making the WebP"].includes(what);
    this.progress.max = total;
    this.progress.value = done;
    if (done < total) this.tell(`${what}: ${Math.floor((100 * done) / total)} %`);
    else if (this.told.startsWith(what)) this.tell("");
  }

  private resized(): void {
    this.soon();
    this.timeline.draw();
  }

  private onKey(event: KeyboardEvent): void {
    const field = event.target instanceof HTMLInputElement && ["text", "number"].includes(event.target.type) ? event.target : null;
    if (field && event.key === "Enter") field.blur(); // JupyterLab keeps Enter from changing it
    if (event.ctrlKey || event.metaKey || event.altKey || field) return;
    if (event.target instanceof HTMLSelectElement && event.key.startsWith("Arrow")) return;
    const done = this.outliner.key(event.key, event.shiftKey) || this.act(event.key);
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
  }

  private act(key: string): boolean {
    const { now, meta } = this;
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -FAR, ArrowUp: FAR };
    const hands = this.hands();
    const actions: Record<string, () => void> = {
      " ": () => this.change({ playing: !now.playing }),
      Home: () => this.go(0),
      End: () => this.go(meta.frames - 1),
      "[": () => this.change({ alpha: Math.max(Math.round(10 * now.alpha - 1) / 10, 0) }),
      "]": () => this.change({ alpha: Math.min(Math.round(10 * now.alpha + 1) / 10, 1) }),
      l: () => this.change({ loop: !now.loop }),
      n: hands.note,
      r: hands.region,
      s: hands.save,
      f: hands.full,
      "+": () => this.stage.zoom(1.25),
      "-": () => this.stage.zoom(0.8),
      "0": () => this.stage.zoom(1 / this.stage.scale),
      "?": hands.help,
      Escape: () => (this.help.hidden = this.panels.drawer.root.hidden = true),
    };
    if (key in steps) this.go(this.frame + steps[key]);
    else if (key in actions) actions[key]();
    else if (/^[1-9]$/.test(key) && meta.views[Number(key) - 1]) {
      const view = meta.views[Number(key) - 1];
      if (meta.sources.length < 2 && meta.comparing.includes(view)) this.tell(`${view} ${LONE}`);
      else this.change({ view });
    } else return false;
    return true;
  }
}
