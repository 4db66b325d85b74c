import { describe, expect, it } from "vitest";
import { attention, sharesCsv, summary, tableCsv } from "../src/attention";
import { animated, csv } from "../src/files";
import { framesOf } from "../src/animation";
import { join, tell } from "../src/group";
import { change, density, extremeFrames, isOfMaps, mapTraces, offCentre, spread } from "../src/map_traces";
import { Outliner } from "../src/outliner";
import type { Parts } from "../src/parts";
import { area, coverage, isInside, moved, outlinesOf, placed, rectangle, share } from "../src/regions";
import { correlation, layout } from "../src/tiles";
import type { FrameMap, Meta, Point, Region } from "../src/types";

const map = (levels: number[], columns: number, low = 0, high = 1): FrameMap => ({
  rows: levels.length / columns,
  columns,
  levels: Uint8Array.from(levels),
  low,
  high,
  base: low,
  peak: [0.5, 0.5],
});
const triangle: Point[] = [
  [0, 0],
  [1, 0],
  [0, 1],
];

describe("regions", () => {
  const region: Region = {
    name: "ball",
    keys: [
      { frame: 10, points: triangle },
      { frame: 20, points: triangle.map(([x, y]): Point => [x + 1, y + 2]) },
    ],
  };

  it("go straight from one key frame to the next, and keep still beyond", () => {
    expect(placed(region, 0)).toEqual(triangle);
    expect(placed(region, 15)[1]).toEqual([1.5, 1]);
    expect(placed(region, 99)[1]).toEqual([2, 2]);
  });

  it("are outlined where they are at a frame, the selected one to be taken hold of", () => {
    const [first, second] = outlinesOf([region, { ...region, name: "face" }], 15, 1);
    expect(first).toMatchObject({ name: "ball", points: placed(region, 15), closed: true, held: false });
    expect(second).toMatchObject({ name: "face", held: true });
    expect(second.colour).not.toBe(first.colour);
  });

  it("get a key frame where they are moved, or are moved as a whole", () => {
    const more = moved(region, 12, triangle, true);
    expect(more.keys.map(({ frame }) => frame)).toEqual([10, 12, 20]);
    expect(moved(more, 12, triangle.slice(), true).keys.length).toBe(3);
    expect(moved(region, 12, triangle, false).keys).toEqual([{ frame: 0, points: triangle }]);
  });

  it("know what lies in them", () => {
    expect([isInside(triangle, [0.2, 0.2]), isInside(triangle, [0.8, 0.8])]).toEqual([true, false]);
    const bent: Point[] = [[0, 0], [1, 0], [1, 1], [0.5, 0.2], [0, 1]]; // an M
    expect([isInside(bent, [0.1, 0.5]), isInside(bent, [0.5, 0.5]), isInside(bent, [0.9, 0.5])]).toEqual([true, false, true]);
  });

  it("cover as much of the frame as they are large", () => {
    for (const [left, top, right, bottom] of [
      [0.1, 0.25, 0.35, 0.75],
      [0, 0, 1, 1],
      [0.501, 0.5, 0.502, 1],
      [-0.5, 0, 0.5, 0.5],
    ]) {
      const expected = (Math.min(right, 1) - Math.max(left, 0)) * (bottom - top);
      expect(area(coverage(rectangle([left, top], [right, bottom]), 8, 10))).toBeCloseTo(expected, 6);
    }
    expect(area(coverage(triangle, 64, 64))).toBeCloseTo(0.5, 2);
  });

  it("hold their part of a map's mass, whatever its scale", () => {
    const covered = coverage(rectangle([0, 0], [0.5, 1]), 1, 4);
    expect(share(map([0, 255, 0, 0], 4), covered)).toBeCloseTo(1);
    expect(share(map([0, 255, 255, 255], 4, 0, 7), covered)).toBeCloseTo(1 / 3);
    expect(share(map([0, 0, 0, 0], 4, 0.3, 0.3), covered)).toBeCloseTo(0.5);
    expect(share(map([0, 0, 0, 0], 4, 0, 0), covered)).toBeNaN();
    expect(share({ ...map([0, 255, 0, 0], 4), base: 0.1 }, covered)).toBeCloseTo((1 + 0.5 / 255 + 0.1) / (1 + 0.5 / 255 + 0.3));
  });
});

describe("attention", () => {
  const meta = { frames: 3, chunk: 2, sources: ["model", "observers"], gaze: ["observers"], observers: [4, 7] } as unknown as Meta;
  const points = [Float32Array.from([0, 4, 0.1, 0.5, 0, 7, 0.9, 0.5, 1, 7, 0.2, 0.5]), Float32Array.from([2, 4, 0.9, 0.5, 2, 7, 0.3, 0.5])];
  const parts = {
    passing: async (_name: string, chunk: number) => (chunk ? [map([255, 255], 2)] : [map([255, 0], 2), null]),
    needPoints: async (_name: string, chunk: number) => points[chunk],
  } as unknown as Parts;
  const left: Region = { name: "left, half", keys: [{ frame: 0, points: rectangle([0, 0], [0.5, 1]) }] };
  const times = [0, 0.5, 1];

  it("is every frame's share, of maps and of people", async () => {
    const found = (await attention(parts, meta, [left], () => true)) ?? [];
    expect(found.map(({ source }) => source)).toEqual(["model", "people"]);
    expect([...found[0].shares]).toEqual([1, Number.NaN, 0.5]);
    expect([...found[1].shares]).toEqual([0.5, 1, 0.5]);
    const [model, people] = found.map((each) => summary(each, times));
    expect(model).toMatchObject({ mean: 0.75, peak: 1, peakFrame: 0, looked: Number.NaN });
    expect(model.lift).toBeCloseTo(1.5);
    expect(people).toMatchObject({ looked: 2, first: 0.25, peakFrame: 1 }); // observer 4 at 0 s, observer 7 at 0.5 s
    const lines = await csv(tableCsv([model, people])).text();
    expect(lines.split("\n")[1]).toBe('"left, half",model,50.00,75.00,1.500,100.00,0,,');
    expect(lines.split("\n")[2]).toBe('"left, half",people,50.00,66.67,1.333,100.00,1,2,0.250');
    expect(sharesCsv(found, times)[2]).toEqual(["1", "0.5000", "", "1.00000"]);
  });

  it("stops when nobody wants it", async () => {
    expect(await attention(parts, meta, [left], () => false)).toBeNull();
  });
});

describe("drawing by hand", () => {
  function hand() {
    let regions: Region[] = [];
    const outliner = new Outliner({
      regions: () => regions,
      frame: () => 7,
      change: (next) => (regions = next),
      redraw: () => {},
      tell: () => {},
    });
    return { outliner, regions: () => regions };
  }

  it("makes rectangles and polygons, and moves their corners", () => {
    const { outliner, regions } = hand();
    outliner.begin();
    outliner.press([0.1, 0.1], 0.01);
    outliner.drag([0.3, 0.4]);
    expect(outliner.outlines()[0].points[2]).toEqual([0.3, 0.4]);
    outliner.release([0.3, 0.4], 0.01);
    expect(regions()[0]).toMatchObject({ name: "region 1", keys: [{ points: rectangle([0.1, 0.1], [0.3, 0.4]) }] });
    expect(outliner.isDrawing).toBe(false);
    outliner.begin();
    for (const at of [[0.5, 0.5], [0.9, 0.5], [0.7, 0.9]] as Point[]) {
      outliner.press(at, 0.01);
      outliner.release(at, 0.01);
    }
    expect(outliner.key("Enter", false)).toBe(true);
    expect(regions()[1].keys[0].points.length).toBe(3);
    outliner.press([0.9, 0.5], 0.01);
    outliner.drag([0.95, 0.6]);
    outliner.release([0.95, 0.6], 0.01);
    expect(regions()[1].keys[0].points[1]).toEqual([0.95, 0.6]);
    expect(outliner.key("ArrowLeft", true)).toBe(true);
    expect(regions()[1].keys[0].points[1]).toEqual([0.94, 0.6]);
    outliner.key("Delete", false);
    expect(regions().length).toBe(1);
  });

  it("takes one name once, and adds key frames to what moves", () => {
    const { outliner, regions } = hand();
    for (let n = 0; n < 2; n++) {
      outliner.begin();
      outliner.press([0.1, 0.1], 0.01);
      outliner.release([0.3, 0.4], 0.01);
    }
    outliner.rename(1, "region 1");
    expect(regions().map(({ name }) => name)).toEqual(["region 1", "region 2"]);
    outliner.rename(1, "face");
    outliner.setMoves(1, true);
    expect(regions()[1]).toMatchObject({ name: "face", keys: [{ frame: 7 }] });
    expect(outliner.moves(regions()[1])).toBe(true);
  });
});

describe("a grid", () => {
  it("has room for all", () => {
    for (let count = 1; count < 13; count++)
      for (const shape of [0.5, 1, 1.78, 2.4]) {
        const [columns, rows] = layout(count, shape);
        expect(columns * rows).toBeGreaterThanOrEqual(count);
        expect(columns * (rows - 1)).toBeLessThan(count);
      }
  });

  it("knows how much maps agree", () => {
    const first = map([0, 50, 100, 150], 2);
    expect(correlation(first, map([10, 60, 110, 160], 2, 3, 4))).toBeCloseTo(1);
    expect(correlation(first, map([150, 100, 50, 0], 2))).toBeCloseTo(-1);
    expect(correlation(first, map([7, 7, 7, 7], 2))).toBeNaN();
  });
});

describe("groups", () => {
  it("hear of each other's time, and nobody else does", () => {
    const heard: string[] = [];
    const member = (name: string, group: string) => ({ group: () => group, follow: () => void heard.push(name) });
    const [a, b, c, d] = [member("a", "pair"), member("b", "pair"), member("c", "other"), member("d", "")];
    const leave = [a, b, c, d].map(join);
    tell(a, { time: 1, playing: false, speed: 1 });
    tell(d, { time: 1, playing: false, speed: 1 });
    expect(heard).toEqual(["b"]);
    leave[1]();
    tell(a, { time: 2, playing: false, speed: 1 });
    expect(heard).toEqual(["b"]);
  });
});

describe("animations", () => {
  it("show at most twelve and a half frames a second, for ten seconds", () => {
    const times = Array.from({ length: 900 }, (_, n) => n / 30);
    const [frames, milliseconds] = framesOf(times, 30, 30, 899);
    expect(frames[0]).toBe(30);
    expect(frames.length).toBeLessThanOrEqual(125);
    expect(milliseconds.reduce((a, b) => a + b, 0)).toBeCloseTo(10_000);
    expect(framesOf(times, 30, 890, 899)[1].reduce((a, b) => a + b, 0)).toBeCloseTo(1000 / 3);
  });

  it("are WebP files of many pictures", async () => {
    const picture = Uint8Array.from([..."RIFF....WEBPVP8 "].map((letter) => letter.charCodeAt(0)).concat([3, 0, 0, 0, 7, 8, 9, 0]));
    const bytes = new Uint8Array(await animated([picture, picture], [80, 40], 300, 200).arrayBuffer());
    const text = String.fromCharCode(...bytes);
    expect(text.slice(8, 16)).toBe("WEBPVP8X");
    expect(text.split("ANMF").length).toBe(3);
    expect(new DataView(bytes.buffer).getUint32(4, true)).toBe(bytes.length - 8);
    expect(() => animated([picture.subarray(0, 12)], [40], 2, 2)).toThrow("cannot write WebP");
  });
});

describe("traces of maps", () => {
  const flat = (part: (row: number, column: number) => boolean) => map(Array.from({ length: 48 * 64 }, (_, at) => (part(Math.floor(at / 64), at % 64) ? 255 : 0)), 64);
  const [still, left, right] = [flat(() => true), flat((_row, column) => column < 32), flat((_row, column) => column >= 32)];

  it("are the mass that moves", () => {
    const [a, b, c] = [still, left, right].map(density);
    expect(change(a, a)).toBe(0);
    expect(change(a, b)).toBeCloseTo(0.5);
    expect(change(b, c)).toBeCloseTo(1);
  });

  it("are the part of the frame that is covered, whatever the scale", () => {
    for (const [height, width] of [[1, 1], [10, 20], [48, 64]]) {
      const one = flat((row, column) => row < height && column < width);
      expect(spread(density(one))).toBeCloseTo((100 * height * width) / (48 * 64), 6);
      expect(spread(density({ ...one, high: 7 }))).toBeCloseTo((100 * height * width) / (48 * 64), 6);
    }
    expect(spread(density(map([0, 0], 2, 0, 0)))).toBeCloseTo(100);
  });

  it("are how far the peak is from the centre", () => {
    expect(offCentre({ ...still, peak: [0.5, 0.5] })).toBe(0);
    expect(offCentre({ ...still, peak: [1, 0] })).toBeCloseTo(100);
  });

  it("know every frame that has a map, and none that has not", async () => {
    const meta = { frames: 5, chunk: 2 } as Meta;
    const chunks = [[still, left], [null, right], [left]];
    const parts = { passing: async (_name: string, chunk: number) => chunks[chunk] } as unknown as Parts;
    const found = await mapTraces(parts, meta, "model", async () => true);
    const moved_ = found?.["map change"].values ?? [];
    expect(moved_.map((value) => value && +value.toFixed(6))).toEqual([null, 0.5, null, null, 1]);
    expect(found?.["map spread"].values.map((value) => value && Math.round(value))).toEqual([100, 50, null, 50, 50]);
    expect(Object.keys(found ?? {}).every(isOfMaps)).toBe(true);
    expect(await mapTraces(parts, meta, "model", async () => false)).toBeNull();
  });

  it("have extreme frames, which are apart", () => {
    const values = Array.from({ length: 200 }, (_, n) => (n === 3 ? null : Math.sin(n / 7)));
    for (const lowest of [false, true]) {
      const frames = extremeFrames(values, lowest);
      const known = values.filter((value) => value !== null) as number[];
      expect(values[frames[0]]).toBe(lowest ? Math.min(...known) : Math.max(...known));
      expect(frames).not.toContain(3);
      const sorted = [...frames].sort((a, b) => a - b);
      sorted.slice(1).forEach((frame, n) => expect(frame - sorted[n]).toBeGreaterThanOrEqual(5));
    }
    expect(extremeFrames([null, null], false)).toEqual([]);
  });
});
