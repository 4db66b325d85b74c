import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { enlarged, laidOver } from "../src/canvas";
import { enlargement } from "../src/enlarge";
import { KernelHost } from "../src/host";
import { type Hands, isSave, keys } from "../src/keys";
import { extremes } from "../src/marks";
import { Parts, undifferenced, unpackMaps } from "../src/parts";
import { scaled } from "../src/picture";
import { mimeOf } from "../src/player";
import { pointsOf, Scene } from "../src/scene";
import { clock, frameAt, middleOf, short, tickStep } from "../src/times";
import type { FrameMap, Key, Meta, Settings } from "../src/types";

const map = (levels: number[], columns: number, low = 0, high = 1): FrameMap => ({
  rows: levels.length / columns,
  columns,
  levels: Uint8Array.from(levels),
  low,
  high,
  base: low,
  peak: [0.5, 0.5],
});

describe("times", () => {
  const times = [0, 0.04, 0.08, 2, 2.04]; // with a gap

  it("find the frame that is on the screen", () => {
    expect([0, 0.039, 0.04, 1.99, 2, 9].map((time) => frameAt(times, time))).toEqual([0, 0, 1, 2, 3, 4]);
  });

  it("have a middle that shows nothing else", () => {
    for (let frame = 0; frame < times.length; frame++) expect(frameAt(times, middleOf(times, frame, 2.08))).toBe(frame);
  });

  it("are written as people read them", () => {
    expect([clock(1.5), clock(61.25), clock(600)]).toEqual(["1.50 s", "1:01.25", "10:00.00"]);
    expect([short(0), short(0.1234), short(0.00011), short(123)]).toEqual(["0", "0.123", "1.1e−4", "123"]);
  });

  it("have round marks, never more than there is room for", () => {
    for (const length of [0.3, 1, 7, 95, 12_345]) {
      const step = tickStep(length, 8);
      expect(length / step).toBeLessThanOrEqual(8 + 1e-9);
      expect([1, 2, 5, 10]).toContain(Math.round(step / 10 ** Math.floor(Math.log10(step) + 1e-9)));
    }
  });
});

describe("enlargement", () => {
  it("leaves what is flat flat, and weighs every pixel as 1", () => {
    for (const [from, to] of [
      [3, 17],
      [192, 360],
      [256, 100],
      [1, 5],
    ]) {
      const table = enlargement(from, to);
      for (let pixel = 0; pixel < to; pixel++) {
        const sum = table.weights.subarray(pixel * table.taps, (pixel + 1) * table.taps).reduce((a, b) => a + b, 0);
        expect(sum).toBeCloseTo(1, 5);
      }
    }
  });

  it("keeps a spot where it is", () => {
    const levels = new Array(64).fill(0);
    levels[3 * 8 + 5] = 255;
    const grey = enlarged({ map: map(levels, 8), gain: 1, offset: 0 }, 80, 80);
    const at = grey.indexOf(Math.max(...grey));
    expect(Math.abs((at % 80) - 54.5)).toBeLessThan(1);
    expect(Math.abs(Math.floor(at / 80) - 34.5)).toBeLessThan(1);
  });
});

describe("scales", () => {
  it("are the frame's own, the clip's, or flat", () => {
    const one = map([0, 255], 2, 0.2, 0.6);
    expect(scaled(one, null)).toMatchObject({ gain: 1, offset: 0 });
    const clip = scaled(one, [0, 0.8]);
    expect(clip.offset).toBeCloseTo(0.25);
    expect(clip.offset + clip.gain).toBeCloseTo(0.75);
    expect(scaled(map([0, 0], 2, 0.3, 0.3), null).gain).toBe(0);
    expect(scaled(null, [0, 1]).map).toBeNull();
  });
});

describe("colours", () => {
  it("are mixed by their opacity", () => {
    const pixels = Uint8ClampedArray.from([100, 100, 100, 255]);
    const table = new Uint8Array(768).fill(200);
    laidOver(pixels, table, () => [7, 0.5]);
    expect([...pixels]).toEqual([150, 150, 150, 255]);
  });
});

describe("parts", () => {
  const [rows, columns, frames] = [3, 4, 5];
  const levels = Uint8Array.from({ length: rows * columns * frames }, (_, n) => (n * 97) % 256);
  const packed = new Uint8Array(levels.length);
  levels.forEach((_level, at) => {
    const size = rows * columns;
    const change = (place: number) => levels[place] - (place >= size ? levels[place - size] : 0);
    packed[at] = change(at) - (at % columns ? change(at - 1) : 0);
  });

  it("give back the levels that were packed", async () => {
    expect(await undifferenced(packed, rows, columns, frames)).toEqual(levels);
  });

  it("know which frame has no map", async () => {
    const about = Float32Array.from(Array.from({ length: frames }, (_, n) => (n === 2 ? [NaN, NaN, NaN, NaN, NaN] : [n, n + 1, 0.25, 0.75, n + 0.5])).flat());
    const head = Uint8Array.from([rows, 0, columns, 0, frames, 0]);
    const deflated = new Blob([packed]).stream().pipeThrough(new CompressionStream("deflate"));
    const maps = await unpackMaps(await new Response(new Blob([head, about, await new Response(deflated).arrayBuffer()]).stream()).arrayBuffer());
    expect(maps[2]).toBeNull();
    expect(maps[4]).toMatchObject({ low: 4, high: 5, base: 4.5, peak: [0.25, 0.75] });
    expect(maps[1]?.levels).toEqual(levels.subarray(12, 24));
  });

  it("tell the codec of a video by its head", () => {
    const letters = (text: string) => [...text].map((letter) => letter.charCodeAt(0));
    const video = [0, 0, ...letters("avcC"), 1, 0x42, 0xc0, 0x1e, 0, 0];
    const sound = (kind: number) => [...letters("esds"), 0, 0, 0, 0, 3, 0x80, 0x80, 25, 0, 1, 0, 4, 17, kind, 0, 0, 0, 0, 0, 0, 0, 0];
    const told = (...bytes: number[]) => mimeOf(Uint8Array.from(bytes));
    expect(told(...video)).toBe('video/mp4; codecs="avc1.42c01e"');
    expect(told(...video, ...sound(0x40))).toBe('video/mp4; codecs="avc1.42c01e, mp4a.40.2"');
    expect(told(...video, ...sound(0x6b))).toBe('video/mp4; codecs="avc1.42c01e, mp4a.6b"');
  });
});

describe("marks", () => {
  it("are the points of the frames asked for", () => {
    const points = Float32Array.from([1, 0, 0.1, 0.2, 2, 0, 0.3, 0.4, 3, 1, 0.5, 0.6]);
    expect(pointsOf([undefined, points], 2, 3).map(([frame, observer]) => [frame, observer])).toEqual([
      [2, 0],
      [3, 1],
    ]);
  });

  it("are the gaze of one observer or of all, for as long as its way stays", async () => {
    const meta = { frames: 6, duration: 3, chunk: 2, gaze: ["people"], sources: ["people"], comparing: [] as string[], settings: [] as string[] } as unknown as Meta;
    const asked: Key[] = [];
    const bytes = (chunk: number) => Float32Array.from([2 * chunk, 7, 0.1, 0.2, 2 * chunk + 1, 8, 0.3, 0.4]).buffer;
    const host = { meta, ask: async (wanted: Key[]) => (asked.push(...wanted), wanted.map(([kind, , chunk]) => (kind === "points" ? bytes(chunk) : new ArrayBuffer(768)))) };
    const parts = new Parts(host as never);
    parts.needMaps = async () => [];
    const scene = new Scene(parts, meta);
    const settings = { points: true, trail: 1, observer: -1, source: "people", view: "overlay", normalise: "frame", colormap: "gray" } as Settings;
    await scene.fetch(settings, 4);
    expect(asked.filter(([kind]) => kind === "points").map(([, , chunk]) => chunk)).toEqual([1, 2]);
    expect(scene.gaze(settings, 4)).toMatchObject({ span: 2, points: [[2, 7], [3, 8], [4, 7]].map((each) => expect.arrayContaining(each)) });
    expect(scene.gaze({ ...settings, observer: 7, trail: 0 }, 4)).toMatchObject({ span: 0, points: [[4, 7, expect.closeTo(0.1), expect.closeTo(0.2)]] });
  });

  it("stand where two maps differ most", () => {
    const found = extremes(map([0, 9, 0, 0], 2), map([0, 0, 7, 0], 2));
    expect(found).toEqual([
      { sign: "+", x: 0.75, y: 0.25 },
      { sign: "−", x: 0.25, y: 0.75 },
    ]);
    expect(extremes(map([1, 1], 2), map([1, 1], 2))).toEqual([]);
  });
});

describe("a kernel", () => {
  function kernel() {
    const sent: { ask: Key[]; id: number }[] = [];
    let answer: (content: unknown, buffers: DataView[]) => void = () => {};
    const model = {
      get: () => ({ chunk: 64, frames: 128, settings: [], colormaps: ["gray"] }),
      set: () => {},
      save_changes: () => {},
      send: (content: unknown) => void sent.push(content as { ask: Key[]; id: number }),
      on: (event: string, callback: (...args: never[]) => void) => {
        if (event === "msg:custom") answer = callback as unknown as typeof answer;
      },
    };
    return { sent, model, host: new KernelHost(model), answer: (content: unknown, buffers: DataView[] = []) => answer(content, buffers) };
  }

  it("is asked once for what is wanted together, and slow parts by themselves", async () => {
    const { sent, host } = kernel();
    void host.ask([["maps", "a", 0]]);
    void host.ask([["video", "", 0]]);
    void host.ask([["trace", "x@a", 0]]);
    await Promise.resolve();
    expect(sent.map((each) => each.ask.map(([kind]) => kind))).toEqual([["maps", "video"], ["trace"]]);
  });

  it("may refuse one part and give another", async () => {
    const { sent, host, answer } = kernel();
    const [first, second] = [host.ask([["maps", "a", 0]]), host.ask([["video", "", 0]])];
    await Promise.resolve();
    const view = (bytes: number[]) => new DataView(Uint8Array.from(bytes).buffer);
    answer({ id: sent[0].id, place: 0, error: "" }, [view([7])]);
    answer({ id: sent[0].id, place: 1, error: "not yet" }, [view([])]);
    expect(new Uint8Array((await first)[0])).toEqual(Uint8Array.from([7]));
    await expect(second).rejects.toThrow("not yet");
  });

  it("is asked again for what it refused", async () => {
    const { sent, host, answer } = kernel();
    const parts = new Parts(host);
    const refused = parts.keep(["still", "", 3]);
    await Promise.resolve();
    answer({ id: 1, place: 0, error: "no" }, [new DataView(new ArrayBuffer(0))]);
    await expect(refused).rejects.toThrow("no");
    void parts.keep(["still", "", 3]).catch(() => undefined);
    await Promise.resolve();
    await Promise.resolve();
    expect(sent.length).toBe(2);
  });

  describe("that does not answer", () => {
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());

    const nothing = [new DataView(new ArrayBuffer(0))];

    function listened() {
      const made = kernel();
      const told: (boolean | undefined)[] = [];
      made.host.listen(({ silent }) => told.push(silent));
      return { ...made, told };
    }

    it("is said to be silent, until it answers", async () => {
      const { sent, host, answer, told } = listened();
      void host.ask([["maps", "a", 0]]);
      await vi.advanceTimersByTimeAsync(4000);
      expect(told).toEqual([]);
      await vi.advanceTimersByTimeAsync(2000);
      expect(told).toEqual([true]);
      answer({ id: sent[0].id, place: 0, error: "" }, nothing);
      expect(told).toEqual([true, false]);
      await vi.advanceTimersByTimeAsync(60_000);
      expect(told).toEqual([true, false]);
    });

    it("is said to be silent at once where it takes no message", () => {
      const { model, host, told } = listened();
      model.send = () => {
        throw new Error("Cannot send");
      };
      host.act("save_frame");
      expect(told).toEqual([true]);
    });

    it("is waited for as long as it says something, and with what takes its time", async () => {
      const { host, answer, told } = listened();
      void host.ask([["maps", "a", 0]]);
      void host.ask([["trace", "x@a", 0]]);
      for (let n = 0; n < 5; n++) {
        await vi.advanceTimersByTimeAsync(3000);
        answer({ progress: ["making the video", n, 9] });
      }
      expect(told).not.toContain(true);
      answer({ id: 1, place: 0, error: "" }, nothing);
      await vi.advanceTimersByTimeAsync(60_000);
      expect(told).not.toContain(true);
    });

    it("is said to be silent when a file is asked of it, too", async () => {
      const { sent, host, told } = listened();
      host.act("save_frame");
      await vi.advanceTimersByTimeAsync(6000);
      expect(sent[0]).toEqual({ act: "save_frame" });
      expect(told).toEqual([true]);
    });
  });

  it("that is busy and sends back an older list does not undo what was changed since", () => {
    const values: Record<string, unknown> = { meta: { settings: ["notes"] }, notes: [] };
    let heard: () => void = () => {};
    const model = {
      get: (name: string) => values[name],
      set: (name: string, value: unknown) => {
        const before = JSON.stringify(values[name]);
        values[name] = value;
        if (JSON.stringify(value) !== before) heard();
      },
      save_changes: () => {},
      send: () => {},
      on: (event: string, callback: (...args: never[]) => void) => {
        if (event === "change:notes") heard = callback as () => void;
      },
    };
    const host = new KernelHost(model);
    let told = 0;
    host.observe(() => (told += 1));
    const [one, two] = [1, 2].map((frame) => [{ frame, text: "here" }]);
    host.set({ notes: one }, true);
    host.set({ notes: two }, true);
    told = 0;
    model.set("notes", one); // an outdated echo
    expect(host.settings().notes).toEqual(two);
    model.set("notes", [{ frame: 9, text: "from the kernel" }]);
    expect(told).toBe(2); // once for the correction, once for the kernel's new value
    expect(host.settings().notes[0].frame).toBe(9);
  });
});

describe("keys", () => {
  it("do what the help says", () => {
    const done: unknown[] = [];
    const hands = new Proxy({} as Hands, { get: (_target, name) => (...words: unknown[]) => done.push([name, ...words]) });
    const known = keys({ frames: 100, views: ["overlay", "map"] } as Meta, hands);
    for (const key of [" ", "ArrowLeft", "ArrowUp", "End", "]", "0", "2", "Escape"]) known.get(key)?.();
    expect(done).toEqual([["play"], ["step", -1], ["step", 16], ["go", 99], ["fade", 1], ["zoom", 0], ["view", "map"], ["close"]]);
    expect(known.get("3")).toBeUndefined();
  });

  it("leave saving to the notebook", () => {
    const pressed = (key: string, ctrlKey = false, metaKey = false) => isSave({ key, ctrlKey, metaKey });
    expect([pressed("s", true), pressed("s", false, true), pressed("S", true)]).toEqual([true, true, true]);
    expect([pressed("s"), pressed("x", true)]).toEqual([false, false]);
  });
});
