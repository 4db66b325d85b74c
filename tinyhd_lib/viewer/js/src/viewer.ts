// The viewer: the picture and its caption, the player, the timeline, and the panels of regions, notes and settings.

import { agreement } from "./agreement";
import { toolbar, transport } from "./bars";
import { h } from "./dom";
import { drawer, type Panel } from "./drawer";
import { Easel } from "./easel";
import { join, type Member, type Moment, tell } from "./group";
import type { Host, Told } from "./host";
import { type Hands, help, isSave, keys, LONE } from "./keys";
import { Legend } from "./legend";
import { Notes } from "./notes";
import { Outliner } from "./outliner";
import { OverTime } from "./over_time";
import { Parts } from "./parts";
import { Player } from "./player";
import { RegionPanel } from "./region_panel";
import { Saving } from "./saving";
import { Scene } from "./scene";
import { type Pointing, Stage } from "./stage";
import { Status } from "./status";
import { frameAt } from "./times";
import type { Meta, Settings } from "./types";

const SELDOM = 80; // milliseconds between two updates of the caption and the timeline during playback
const TOGETHER = 1000; // milliseconds between two synchronisations of a group during playback
const REST = 1000; // milliseconds after the reader's last action, after which background work goes on
const APART = 0.15; // seconds that players of a group may be apart
const SILENT = "the kernel does not answer (busy, or shut down); what is loaded still plays";
const SETTLED = 300; // milliseconds that a notebook may take for its layout after full screen
const EXPORT = "writing the video"; // what the kernel calls its export, which can be cancelled

export class Viewer implements Member {
  private meta: Meta;
  private now: Settings;
  private frame = -1; // on the screen
  private chunk = -1; // the latest whose successor was requested
  private image: CanvasImageSource | null = null;
  private gone = false;
  private scheduled = false;
  private toldAt = 0;
  private leadAt = 0;
  private actedAt = -REST;

  private parts: Parts;
  private scene: Scene;
  private player: Player;
  private easel: Easel;
  private legend: Legend;
  private outliner: Outliner;
  private overTime: OverTime;
  private regions: RegionPanel;
  private notes: Notes;
  private saving: Saving;
  private stage: Stage;
  private status = new Status(() => this.saving.stop());
  private panels: { tools: Panel; transport: Panel & { jump: HTMLInputElement }; drawer: Panel };
  private agreement = h("div", { class: "tinyhd-table" });
  private help: HTMLElement;
  private root: HTMLElement;

  private hands = this.whatCanBeDone();
  private keys: Map<string, () => void>;
  private watching: ResizeObserver;
  private leave: () => void;

  constructor(
    el: HTMLElement,
    private host: Host,
  ) {
    const { hands, status } = this;
    const meta = (this.meta = host.meta);
    this.now = host.settings();
    this.keys = keys(meta, hands);
    this.parts = new Parts(host);
    this.scene = new Scene(this.parts, meta);
    this.easel = new Easel(this.scene, (text) => status.tell(text));
    this.legend = new Legend(this.scene);
    this.player = new Player(this.parts, meta, {
      seeks: (frame) => void this.scene.fetch(this.now, frame).catch(() => undefined), // fetch its maps meanwhile
      frame: (index, image) => this.onFrame(index, image),
      ended: () => this.set({ playing: false }), // others of the group may have more to show
      trouble: (text) => status.tell(text),
    });
    const { go, change } = hands;
    const times = () => this.player.times;
    this.outliner = new Outliner({
      regions: () => this.now.regions,
      frame: () => Math.max(this.frame, 0),
      change: (regions) => change({ regions }),
      redraw: () => this.soon(),
      tell: (text) => status.tell(text),
    });
    this.overTime = new OverTime(this.scene, host.live, () => this.now.playing || performance.now() - this.actedAt < REST, status, { go, choose: (start, stop) => change({ start, stop }) });
    const computed = this.overTime.showRegions.bind(this.overTime);
    this.regions = new RegionPanel(meta, this.parts, this.outliner, status, { go, times, computed });
    this.notes = new Notes(meta, { go, change, times, leave: () => this.root.focus() });
    this.saving = new Saving(this.scene, host, status, () => this.now);
    this.stage = new Stage(this.pointing(), this.player.video, ...this.easel.canvases);
    this.easel.canvases[0].setAttribute("role", "img");
    this.panels = { tools: toolbar(meta, hands), transport: transport(meta, hands), drawer: drawer(meta, change, this.saving.files) };
    this.help = help(meta, hands);
    this.root = h(
      "div",
      { class: "tinyhd-viewer", tabindex: "0", role: "group", "aria-label": `${meta.name} with its saliency map` },
      this.panels.tools.root,
      this.stage.root,
      h("div", { class: "tinyhd-under" }, this.legend.caption, this.legend.bar),
      this.legend.reading,
      status.root,
      this.panels.transport.root,
      this.overTime.timeline.root,
      this.overTime.thumbs.root,
      this.agreement,
      this.regions.root,
      this.notes.root,
      this.panels.drawer.root,
      this.help,
    );
    el.append(this.root);
    window.addEventListener("keydown", this.shareKeys, true); // before JupyterLab, which listens to the document
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.root.addEventListener("fullscreenchange", () => this.onFullScreen());
    this.watching = new ResizeObserver(() => this.resized());
    this.watching.observe(this.root);
    this.leave = join(this);
    host.observe(() => this.onSettings());
    host.listen((what) => this.onTold(what));
    void this.begin();
  }

  dispose(): void {
    this.gone = true;
    this.leave();
    this.saving.stop();
    this.regions.dispose();
    this.overTime.dispose();
    this.player.dispose();
    this.easel.dispose();
    this.watching.disconnect();
    window.removeEventListener("keydown", this.shareKeys, true);
  }

  group(): string {
    return this.now.group;
  }

  // Follow another viewer of the group.
  follow({ time, playing, speed }: Moment): void {
    const { times } = this.player;
    if (!times.length) return;
    const change: Partial<Settings> = {};
    const frame = frameAt(times, time + 1e-6);
    const goesOn = playing && frame < this.player.range[1]; // a shorter video waits at its end
    const apart = Math.abs((times[Math.max(this.frame, 0)] ?? 0) - time);
    if (!goesOn || !this.now.playing || apart > APART) change.frame = frame;
    if (goesOn !== this.now.playing) change.playing = goesOn;
    if (speed !== this.now.speed) change.speed = speed;
    if (Object.keys(change).length) this.set(change);
  }

  private change(change: Partial<Settings>): void {
    this.set(change);
    if ("frame" in change || "playing" in change || "speed" in change) this.lead();
  }

  private set(change: Partial<Settings>): void {
    const before = this.now;
    this.actedAt = performance.now();
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
      this.overTime.timeline.times = this.player.times;
      this.player.seek(this.now.frame);
      this.apply(null);
      await this.openVideo();
    } catch (error) {
      this.status.tell((error as Error).message);
    }
  }

  private async openVideo(): Promise<void> {
    try {
      await this.player.open();
      await this.overTime.thumbs.open();
    } catch (error) {
      this.status.tell((error as Error).message);
    }
  }

  private onTold({ said, progress, ready, silent }: Told): void {
    if (silent) this.status.tell(SILENT);
    else this.status.withdraw(SILENT);
    if (said !== undefined) this.status.tell(said);
    if (progress) this.status.progress(...progress, progress[0] === EXPORT);
    if (ready) void this.openVideo();
  }

  // Take over settings that were changed elsewhere.
  private onSettings(): void {
    const before = this.now;
    const next = this.host.settings();
    if (JSON.stringify(before) === JSON.stringify(next)) return;
    // During playback, the kernel's frame is an outdated echo of ours.
    if (before.playing && next.playing && Math.abs(next.frame - this.frame) < 3 * this.meta.chunk) next.frame = before.frame;
    for (const name of ["regions", "notes"] as const) // keep the same objects, or they would be taken for new lists
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
    if (!before || traced.some((name) => String(now[name]) !== String(before[name]))) void this.overTime.show(now);
    for (const panel of [...Object.values(panels), this.notes, this.regions]) panel.sync(now);
    this.stage.root.dataset.view = now.view;
    this.stage.setCells(this.easel.cells(now.view), this.meta.size[0] / this.meta.size[1]);
    this.agreement.hidden = now.view !== "grid";
    // Otherwise the frame that was sought is painted when it arrives.
    if (now.frame === this.frame || now.playing) void this.fetch().then(() => this.soon());
  }

  // Paint before the browser's next refresh, once for all changes until then.
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
    if (this.scene.isHere(this.now, frame)) this.onAll(frame);
    else void this.fetch().then(() => this.onAll(frame));
  }

  // A frame and its maps have arrived: show them, and only then prefetch what follows.
  private onAll(frame: number): void {
    if (frame !== this.frame) return;
    this.paint();
    const chunk = this.parts.chunkOf(frame);
    if (chunk === this.chunk && this.now.playing) return;
    this.chunk = chunk;
    void this.scene.fetchAhead(this.now, frame);
    void this.player.need(chunk + 1).catch(() => undefined);
  }

  private async fetch(): Promise<void> {
    if (this.frame < 0) return;
    try {
      await this.scene.fetch(this.now, this.frame);
    } catch (error) {
      this.status.tell((error as Error).message);
    }
  }

  private paint(): void {
    const { now, frame, scene, image } = this;
    if (!image || this.gone || !scene.table(now.colormap) || !scene.diverging) return;
    const quick = now.playing && this.player.isVideo && this.easel.kind === "WebGL" && now.view !== "grid";
    this.easel.draw(now, frame, image, this.size(quick), quick, this.outliner.outlines());
    this.root.dataset.frame = String(frame);
    if (quick && performance.now() - this.toldAt < SELDOM) return; // the picture has priority
    this.toldAt = performance.now();
    this.legend.show(now, frame, this.player.times[frame] ?? 0);
    this.easel.canvases[0].setAttribute("aria-label", this.legend.label(now));
    this.overTime.timeline.update(frame, now.notes, this.player.range);
    if (now.view === "grid") this.agreement.replaceChildren(agreement(this.meta.sources.map((name) => [name, this.parts.map(name, frame)]), frame));
    const { jump } = this.panels.transport;
    if (document.activeElement !== jump) jump.value = String(frame);
  }

  // The size at which a frame is drawn: no finer than the screen shows it at this zoom, and half as fine if only a
  // smooth overlay is drawn over the playing video.
  private size(quick: boolean): [number, number] {
    const finest = quick && this.now.view !== "contours" ? 2 : 1;
    const [width, height] = this.meta.size.map((side) => side / finest);
    const [columns] = this.easel.cells(this.now.view);
    const seen = (this.stage.root.clientWidth * (window.devicePixelRatio || 1) * this.stage.scale) / finest / columns;
    const across = Math.min(width, Math.max(320 / finest / columns, seen));
    return [Math.round(across), Math.round((height * across) / width)];
  }

  private whatCanBeDone(): Hands {
    const change = (wanted: Partial<Settings>) => this.change(wanted);
    const go = (frame: number) => {
      if (Number.isFinite(frame)) change({ frame: Math.min(Math.max(Math.round(frame), 0), this.meta.frames - 1) });
    };
    return {
      change,
      go,
      view: (view) => {
        if (this.meta.sources.length < 2 && this.meta.comparing.includes(view)) this.status.tell(`${view} ${LONE}`);
        else change({ view });
      },
      step: (frames) => go(this.now.frame + frames), // keys may repeat faster than frames arrive
      play: () => change({ playing: !this.now.playing }),
      loop: () => change({ loop: !this.now.loop }),
      fade: (steps) => change({ alpha: Math.min(Math.max(Math.round(10 * this.now.alpha + steps) / 10, 0), 1) }),
      zoom: (factor) => this.stage.zoom(factor || 1 / this.stage.scale),
      note: () => this.notes.add(Math.max(this.frame, 0)),
      region: () => this.outliner.begin(),
      save: () => this.save(),
      settings: () => (this.panels.drawer.root.hidden = !this.panels.drawer.root.hidden),
      full: () => void this.toggleFullScreen(),
      help: () => (this.help.hidden = !this.help.hidden),
      close: () => (this.help.hidden = this.panels.drawer.root.hidden = true),
    };
  }

  private pointing(): Pointing {
    return {
      press: (at, near) => {
        this.root.focus({ preventScroll: true });
        if (this.now.view !== "wipe" || this.outliner.isDrawing) return this.outliner.press(at, near);
        this.change({ border: at[0] });
        return true;
      },
      drag: (at) => {
        if (this.outliner.drag(at)) return true;
        if (this.now.view === "wipe") this.change({ border: at[0] });
        return this.now.view === "wipe";
      },
      release: (at, near) => void this.outliner.release(at, near),
      over: (at) => {
        this.legend.pointer = at;
        this.legend.read(this.now, this.frame);
      },
      zoomed: () => this.soon(),
    };
  }

  private save(): void {
    if (this.host.live) {
      this.host.act("save_frame");
      return;
    }
    this.change({ playing: false });
    this.paint();
    this.saving.picture(this.frame, this.easel.flattened(this.now.view));
  }

  private async toggleFullScreen(): Promise<void> {
    try {
      await (document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen());
    } catch {
      this.status.tell("no full screen: the browser, or the page that this is in, refuses it");
    }
  }

  // Scroll back to the viewer: a notebook may scroll during full screen, and again when its layout is restored.
  private onFullScreen(): void {
    if (document.fullscreenElement) return;
    for (const wait of [0, SETTLED]) setTimeout(() => this.stage.root.scrollIntoView({ block: "nearest" }), wait);
  }

  private resized(): void {
    this.soon();
    this.overTime.timeline.draw();
  }

  // JupyterLab ignores keys on an element with this attribute; otherwise "1" would make a heading and "x" cut the cell.
  // The key that saves the notebook is left to it.
  private shareKeys = (event: KeyboardEvent): void => {
    this.root.toggleAttribute("data-lm-suppress-shortcuts", !isSave(event));
  };

  private onKey(event: KeyboardEvent): void {
    const field = event.target instanceof HTMLInputElement && ["text", "number"].includes(event.target.type) ? event.target : null;
    if (field && event.key === "Enter") field.blur(); // JupyterLab suppresses the change event that Enter would cause
    if (event.ctrlKey || event.metaKey || event.altKey || field) return;
    if (event.target instanceof HTMLSelectElement && event.key.startsWith("Arrow")) return;
    const act = this.outliner.key(event.key, event.shiftKey) ? () => undefined : this.keys.get(event.key);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }
}
