// Built from js/src by npm run build in js: change it there.

// src/enlarge.ts
var SHARPNESS = -0.75;
var MOST_KNOWN = 32;
var BLUR = [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16];
function cubic(fraction2) {
  const a = SHARPNESS;
  const near = (x) => ((a + 2) * x - (a + 3)) * x * x + 1;
  const far = (x) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  const weights = [far(fraction2 + 1), near(fraction2), near(1 - fraction2)];
  return [...weights, 1 - weights[0] - weights[1] - weights[2]];
}
function mirrored(place, length) {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const inside = (place % period + period) % period;
  return inside < length ? inside : period - inside;
}
var known = /* @__PURE__ */ new Map();
function enlargement(from, to) {
  const name = `${from}>${to}`;
  const table = known.get(name) ?? computed(from, to);
  known.delete(name);
  known.set(name, table);
  if (known.size > MOST_KNOWN) known.delete([...known.keys()][0]);
  return table;
}
function computed(from, to) {
  const sums = [];
  const plain = Array.from({ length: to }, (_, pixel) => {
    const place = (pixel + 0.5) * from / to - 0.5;
    const first = Math.floor(place);
    return cubic(place - first).map((weight, n) => [
      Math.min(Math.max(first - 1 + n, 0), from - 1),
      weight
    ]);
  });
  for (let pixel = 0; pixel < to; pixel++) {
    const sum = /* @__PURE__ */ new Map();
    BLUR.forEach((blur, n) => {
      for (const [place, weight] of plain[mirrored(pixel + n - 2, to)]) sum.set(place, (sum.get(place) ?? 0) + blur * weight);
    });
    sums.push(sum);
  }
  const starts = Int32Array.from(sums, (sum) => Math.min(...sum.keys()));
  const taps = Math.max(...sums.map((sum, pixel) => Math.max(...sum.keys()) - starts[pixel] + 1));
  const weights = new Float32Array(to * taps);
  sums.forEach((sum, pixel) => sum.forEach((weight, place) => weights[pixel * taps + place - starts[pixel]] = weight));
  return { taps, starts, weights };
}

// src/picture.ts
var VIEWS = ["overlay", "side-by-side", "map", "contours", "wipe", "difference"];
var LEVELS = [0.25, 0.5, 0.75];
function scaled(map, bounds) {
  if (!map) return { map: null, gain: 0, offset: 0 };
  if (map.high <= map.low) return { map, gain: 0, offset: 0 };
  if (!bounds) return { map, gain: 1, offset: 0 };
  const range = bounds[1] - bounds[0];
  return range > 0 ? { map, gain: (map.high - map.low) / range, offset: (map.low - bounds[0]) / range } : { map, gain: 0, offset: 0 };
}

// src/canvas.ts
function enlarged({ map, gain, offset }, width, height) {
  const grey = new Float32Array(width * height);
  if (!map) return grey;
  const across = enlargement(map.columns, width);
  const down = enlargement(map.rows, height);
  const middle = new Float32Array(width * map.rows);
  for (let row = 0; row < map.rows; row++)
    for (let column = 0; column < width; column++) {
      let sum = 0;
      for (let n = 0; n < across.taps; n++) {
        const at = Math.min(across.starts[column] + n, map.columns - 1);
        sum += across.weights[column * across.taps + n] * map.levels[row * map.columns + at];
      }
      middle[row * width + column] = sum / 255;
    }
  for (let row = 0; row < height; row++)
    for (let n = 0; n < down.taps; n++) {
      const weight = down.weights[row * down.taps + n];
      const line = Math.min(down.starts[row] + n, map.rows - 1) * width;
      for (let column = 0; column < width; column++) grey[row * width + column] += weight * middle[line + column];
    }
  for (let at = 0; at < grey.length; at++) grey[at] = Math.min(Math.max(grey[at] * gain + offset, 0), 1);
  return grey;
}
function laidOver(pixels, colours, laid) {
  for (let at = 0; at < pixels.length / 4; at++) {
    const [level, opaque] = laid(at);
    for (let n = 0; n < 3; n++) pixels[4 * at + n] += opaque * (colours[3 * level + n] - pixels[4 * at + n]);
  }
}
var Canvas = class {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
  }
  canvas;
  kind = "canvas";
  context;
  draw(picture) {
    const { width, height, view, colours } = picture;
    this.canvas.width = view === "side-by-side" ? 2 * width : width;
    this.canvas.height = height;
    this.context.drawImage(picture.image, 0, 0, width, height);
    const data = this.context.getImageData(0, 0, width, height);
    const first = enlarged(picture.first, width, height);
    const over = (grey, at) => {
      const level = Math.round(255 * grey[at]);
      return [level, picture.alpha * Math.max(level / 255 - picture.floor, 0) / (1 - picture.floor)];
    };
    if (view === "overlay") laidOver(data.data, colours, (at) => over(first, at));
    else if (view === "map" || view === "side-by-side") laidOver(data.data, colours, (at) => [Math.round(255 * first[at]), 1]);
    else if (view === "contours") this.contours(data, first, picture);
    else {
      const second = enlarged(picture.second, width, height);
      const line = Math.round(picture.border * width);
      if (view === "wipe") laidOver(data.data, colours, (at) => over(at % width < line ? first : second, at));
      else
        laidOver(data.data, picture.diverging, (at) => {
          const apart = Math.round(255 * first[at]) - Math.round(255 * second[at]);
          const bounded2 = Math.min(Math.max(apart, -128), 127);
          return [bounded2 + 128, picture.alpha * Math.abs(bounded2) / 128];
        });
    }
    this.context.putImageData(data, view === "side-by-side" ? width : 0, 0);
    if (view === "wipe") {
      const line = Math.round(picture.border * width);
      this.context.fillStyle = "black";
      this.context.fillRect(line - 1, 0, 3, height);
      this.context.fillStyle = "white";
      this.context.fillRect(line, 0, 1, height);
    }
  }
  dispose() {
  }
  contours({ data }, grey, { width, height, colours }) {
    const at = (row, column) => grey[Math.min(Math.max(row, 0), height - 1) * width + Math.min(Math.max(column, 0), width - 1)];
    const steep = new Float32Array(grey.length);
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++)
        steep[row * width + column] = Math.max(
          Math.hypot(at(row, column + 1) - at(row, column - 1), at(row + 1, column) - at(row - 1, column)) / 2,
          1e-4
        );
    LEVELS.forEach((level, n) => {
      for (const [more, colour] of [
        [1.5, new Uint8Array(768)],
        [0.5, colours]
      ])
        laidOver(data, colour, (place) => [
          Math.round(255 * level),
          Math.min(Math.max((n + 1) / 2 + more - Math.abs(grey[place] - level) / steep[place], 0), 1)
        ]);
    });
  }
};

// src/dom.ts
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
var ICONS = {
  play: "M7 4v16l13-8z",
  pause: "M6 4h4v16H6zM14 4h4v16h-4z",
  back: "M16 5v14L6 12z",
  on: "M8 5v14l10-7z",
  far_back: "M20 5v14l-8-7zM11 5v14l-8-7z",
  far_on: "M4 5v14l8-7zM13 5v14l8-7z",
  settings: "M4 6h9v2H4zM17 6h3v2h-3zM13 4h3v6h-3zM4 16h3v2H4zM11 16h9v2h-9zM7 14h3v6H7z",
  note: "M6 3h12v18l-6-5-6 5z",
  full: "M4 4h6v2H6v4H4zM14 4h6v6h-2V6h-4zM4 14h2v4h4v2H4zM18 14h2v6h-6v-2h4z",
  save: "M11 3h2v9h3l-4 5-4-5h3zM4 18h16v3H4z",
  help: "M12 2a10 10 0 100 20 10 10 0 000-20zm1 16h-2v-2h2zm2-7.2c-.9 1-2 1.500-2 3.200h-2c0-2.300 1.200-3.200 2-4 .6-.6 1-1 1-1.600a2 2 0 00-4 0H8a4 4 0 018 0c0 1-.4 1.800-1 2.400z",
  region: "M4 4h5v2H6v3H4zM15 4h5v5h-2V6h-3zM4 15h2v3h3v2H4zM18 15h2v5h-5v-2h3zM11 8h2v3h3v2h-3v3h-2v-3H8v-2h3z",
  loop: "M17 2l4 4-4 4V7H7v4H5V5h12zM7 22l-4-4 4-4v3h10v-4h2v6H7z"
};
function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}
function button(title, pressed, ...children) {
  return h("button", { type: "button", title, click: pressed }, ...children);
}
function tool(sign, label, pressed) {
  const made = button(label, pressed, sign === "×" ? sign : icon(sign));
  made.setAttribute("aria-label", label);
  return made;
}
function labelled(...children) {
  return h("label", { class: "tinyhd-choice" }, ...children);
}
function choice(label, title, options, chosen) {
  const select = h("select", { title, "aria-label": label }, ...options.map((each) => h("option", { value: each }, each)));
  select.addEventListener("change", () => chosen(select.value));
  return { root: labelled(h("span", {}, label), select), select };
}
function fraction(label, title, most, moved2) {
  const input = h("input", { type: "range", min: "0", max: String(most), step: "0.05", title, "aria-label": label });
  const output = h("output", {});
  input.addEventListener("input", () => moved2(Number(input.value)));
  return { root: labelled(h("span", {}, label), input, output), input, output };
}
function toggle(label, title, changed) {
  const input = h("input", { type: "checkbox", title, "aria-label": label });
  input.addEventListener("change", () => changed(input.checked));
  return { root: labelled(input, h("span", {}, label)), input };
}

// src/host.ts
var SLOW = /* @__PURE__ */ new Set(["trace", "bounds"]);
var SLOWLY = 2e3;
var LISTS = /* @__PURE__ */ new Set(["regions", "notes"]);
var PATIENCE = 5e3;
var ECHOES = 3e3;
var KernelHost = class {
  constructor(model) {
    this.model = model;
    this.meta = model.get("meta");
    model.on("msg:custom", (content, buffers) => this.receive(content, buffers));
  }
  model;
  live = true;
  meta;
  asked = 0;
  waiting = /* @__PURE__ */ new Map();
  listeners = [];
  later;
  queue = [];
  latest = /* @__PURE__ */ new Map();
  heardAt = 0;
  isSilent = false;
  settings() {
    return Object.fromEntries(this.meta.settings.map((name) => [name, this.model.get(name)]));
  }
  set(change2, eager) {
    for (const [name, value] of Object.entries(change2)) {
      if (LISTS.has(name)) this.remember(name, JSON.stringify(value));
      this.model.set(name, value);
    }
    if (eager) {
      clearTimeout(this.later);
      this.later = void 0;
      this.model.save_changes();
    } else {
      this.later ??= setTimeout(() => {
        this.later = void 0;
        this.model.save_changes();
      }, SLOWLY);
    }
  }
  observe(changed) {
    for (const name of this.meta.settings)
      this.model.on(`change:${name}`, () => {
        if (!this.isEcho(name)) changed();
        else {
          this.model.set(name, JSON.parse(this.latest.get(name)?.value ?? "null"));
          this.model.save_changes();
        }
      });
  }
  remember(name, value) {
    const known2 = this.latest.get(name);
    const isFresh = known2 && performance.now() - known2.at < ECHOES;
    this.latest.set(name, { value, older: isFresh ? [...known2.older, known2.value] : [], at: performance.now() });
  }
  // Whether the value that the kernel has just sent is ours from before the latest change.
  isEcho(name) {
    const known2 = this.latest.get(name);
    if (!known2 || performance.now() - known2.at > ECHOES) return false;
    const value = JSON.stringify(this.model.get(name));
    return value !== known2.value && known2.older.includes(value);
  }
  // Parts that are requested together are requested in one message, and arrive one by one.
  ask(keys2, later = false) {
    if (!this.queue.length) queueMicrotask(() => this.flush());
    return Promise.all(
      keys2.map((key) => new Promise((resolve, reject) => this.queue.push({ key, later: later || SLOW.has(key[0]), resolve, reject })))
    );
  }
  // The action may take long, so a quick part is requested, too: without its answer, the kernel counts as silent.
  act(name) {
    this.send({ act: name });
    void this.ask([["colours", this.meta.colormaps[0], 0]]);
  }
  listen(told) {
    this.listeners.push(told);
  }
  flush() {
    const entries = this.queue.splice(0);
    for (const later of [false, true]) this.post(entries.filter((each) => each.later === later), later);
  }
  post(entries, later) {
    if (!entries.length) return;
    const id = ++this.asked;
    this.waiting.set(id, entries);
    if (!later) this.expect(id);
    this.send({ ask: entries.map((entry) => entry.key), id, later });
  }
  // Sending throws if the kernel was shut down.
  send(content) {
    try {
      this.model.send(content);
    } catch {
      this.setSilent(true);
    }
  }
  // Report a silent kernel (busy, or gone) if this request is not answered and no other message arrives.
  expect(id) {
    setTimeout(() => {
      if (!this.waiting.has(id)) return;
      if (performance.now() - this.heardAt < PATIENCE) this.expect(id);
      else this.setSilent(true);
    }, PATIENCE);
  }
  setSilent(silent) {
    this.isSilent = silent;
    this.tell({ silent });
  }
  tell(what) {
    for (const told of this.listeners) told(what);
  }
  receive(content, buffers) {
    this.heardAt = performance.now();
    if (this.isSilent) this.setSilent(false);
    if (content.id === void 0) {
      this.tell(content);
      return;
    }
    const { id, place, error } = content;
    const entry = this.waiting.get(id)?.[place];
    if (!entry) return;
    const { buffer, byteOffset, byteLength } = buffers[0];
    if (error) entry.reject(new Error(error));
    else entry.resolve(buffer.slice(byteOffset, byteOffset + byteLength));
    if (place === (this.waiting.get(id)?.length ?? 0) - 1) this.waiting.delete(id);
  }
};
var PageHost = class {
  constructor(page) {
    this.page = page;
    this.meta = page.meta;
    this.now = { ...page.settings };
  }
  page;
  live = false;
  meta;
  now;
  settings() {
    return { ...this.now };
  }
  set(change2) {
    Object.assign(this.now, change2);
  }
  observe() {
  }
  async ask(keys2) {
    return keys2.map((key) => {
      const text = this.page.parts[key.join("|")];
      if (text === void 0) throw new Error("not on this page");
      return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
    });
  }
  act() {
  }
  listen() {
  }
};

// src/painter.ts
var VERTEX = `#version 300 es
void main() {
  gl_Position = vec4(vec2(gl_VertexID == 1 ? 3 : -1, gl_VertexID == 2 ? 3 : -1), 0, 1);
}`;
var NUMBERS = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
float unpacked(vec4 bytes) { return dot(bytes.rg, vec2(65280.0, 255.0)) / 65535.0 * 2.0 - 0.5; }
vec4 packed(float number) {
  float whole = round(clamp(number * 0.5 + 0.25, 0.0, 1.0) * 65535.0);
  return vec4(floor(whole / 256.0) / 255.0, mod(whole, 256.0) / 255.0, 0.0, 1.0);
}
`;
var ENLARGE = `${NUMBERS}
uniform sampler2D source, weights;
uniform bool down, raw;
uniform int taps;
uniform float gain, offset;
out vec4 colour;
void main() {
  ivec2 place = ivec2(gl_FragCoord.xy);
  int along = down ? place.y : place.x;
  int start = int(texelFetch(weights, ivec2(0, along), 0).r);
  int last = (down ? textureSize(source, 0).y : textureSize(source, 0).x) - 1;
  float sum = 0.0;
  for (int n = 0; n < taps; n++) {
    int at = min(start + n, last);
    vec4 bytes = texelFetch(source, down ? ivec2(place.x, at) : ivec2(at, place.y), 0);
    sum += texelFetch(weights, ivec2(n + 1, along), 0).r * (raw ? bytes.r : unpacked(bytes));
  }
  colour = packed(down ? clamp(sum * gain + offset, 0.0, 1.0) : sum);
}`;
var COMPOSE = `${NUMBERS}
uniform sampler2D image, first, second, colours, diverging;
uniform ivec2 size;
uniform int view;
uniform float alpha, ground, border;
uniform bool quick;
uniform vec4 stretch; // gain and offset of both maps
out vec4 colour;
float grey(sampler2D map, ivec2 at, vec2 levels) {
  if (quick) return clamp(texture(map, (vec2(at) + 0.5) / vec2(size)).r * levels.x + levels.y, 0.0, 1.0);
  return unpacked(texelFetch(map, clamp(at, ivec2(0), size - 1), 0));
}
vec3 coloured(sampler2D table, float level) { return texelFetch(table, ivec2(int(level), 0), 0).rgb; }
// Colours are multiplied by their opacity, as browsers blend them.
vec4 laid(vec4 below, vec3 light, float opaque) { return vec4(light, 1.0) * opaque + below * (1.0 - opaque); }
vec4 over(vec4 frame, float part) {
  float level = round(part * 255.0);
  return laid(frame, coloured(colours, level), alpha * max(level / 255.0 - ground, 0.0) / (1.0 - ground));
}
vec4 lined(vec4 frame, ivec2 at) {
  float here = grey(first, at, stretch.xy);
  vec2 slope = vec2(grey(first, at + ivec2(1, 0), stretch.xy) - grey(first, at - ivec2(1, 0), stretch.xy),
                    grey(first, at + ivec2(0, 1), stretch.xy) - grey(first, at - ivec2(0, 1), stretch.xy)) * 0.5;
  float steep = max(length(slope), 1e-4);
  for (int n = 0; n < ${LEVELS.length}; n++) {
    float level = float(n + 1) * 0.25;
    float apart = abs(here - level) / steep;
    float half_width = float(n + 1) * 0.5;
    frame = laid(frame, vec3(0.0), clamp(half_width + 1.5 - apart, 0.0, 1.0));
    frame = laid(frame, coloured(colours, round(level * 255.0)), clamp(half_width + 0.5 - apart, 0.0, 1.0));
  }
  return frame;
}
void main() {
  ivec2 at = ivec2(gl_FragCoord.x, float(size.y) - gl_FragCoord.y);
  bool right = at.x >= size.x;
  if (right) at.x -= size.x;
  vec4 drawn = quick ? vec4(0.0) : vec4(texture(image, (vec2(at) + 0.5) / vec2(size)).rgb, 1.0);
  if (view == 0) drawn = over(drawn, grey(first, at, stretch.xy));
  else if (view == 2 || (view == 1 && right)) drawn = vec4(coloured(colours, round(grey(first, at, stretch.xy) * 255.0)), 1.0);
  else if (view == 3) drawn = lined(drawn, at);
  else if (view == 4) {
    int line = int(round(border * float(size.x)));
    drawn = over(drawn, at.x < line ? grey(first, at, stretch.xy) : grey(second, at, stretch.zw));
    if (abs(at.x - line) <= 1) drawn = vec4(vec3(at.x == line ? 1.0 : 0.0), 1.0);
  } else if (view == 5) {
    float more = round(grey(first, at, stretch.xy) * 255.0) - round(grey(second, at, stretch.zw) * 255.0);
    float apart = clamp(more, -128.0, 127.0);
    drawn = laid(drawn, coloured(diverging, apart + 128.0), alpha * abs(apart) / 128.0);
  }
  colour = drawn;
}`;
var ASIDE = 7;
var Painter = class {
  // Throws where there is no WebGL 2.
  constructor(canvas) {
    this.canvas = canvas;
    const gl = canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true });
    if (!gl) throw new Error("no WebGL 2");
    this.gl = gl;
    this.programs = { enlarge: this.program(ENLARGE), compose: this.program(COMPOSE) };
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.bindVertexArray(gl.createVertexArray());
  }
  canvas;
  kind = "WebGL";
  gl;
  using = "compose";
  programs;
  places = /* @__PURE__ */ new Map();
  textures = /* @__PURE__ */ new Map();
  targets = /* @__PURE__ */ new Map();
  tables = /* @__PURE__ */ new Map();
  draw(picture) {
    const { gl } = this;
    const { width, height, view } = picture;
    const across = view === "side-by-side" ? 2 * width : width;
    if (this.canvas.width !== across) this.canvas.width = across;
    if (this.canvas.height !== height) this.canvas.height = height;
    const maps = [this.grey(picture.first, "first", picture), this.grey(picture.second, "second", picture)];
    this.use("compose");
    this.bind(0, "image", this.texture("image", gl.LINEAR));
    if (!picture.quick) gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture.image);
    this.bind(1, "first", maps[0]);
    this.bind(2, "second", maps[1]);
    const { first, second } = picture;
    gl.uniform1i(this.place("compose", "quick"), Number(picture.quick));
    gl.uniform4f(this.place("compose", "stretch"), first.gain, first.offset, second.gain, second.offset);
    this.colours(3, "colours", picture.colours);
    this.colours(4, "diverging", picture.diverging);
    gl.uniform2i(this.place("compose", "size"), width, height);
    gl.uniform1i(this.place("compose", "view"), VIEWS.indexOf(view));
    gl.uniform1f(this.place("compose", "alpha"), picture.alpha);
    gl.uniform1f(this.place("compose", "ground"), picture.floor);
    gl.uniform1f(this.place("compose", "border"), picture.border);
    this.fill(null, across, height);
  }
  dispose() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
  // The texture of a map: enlarged to the frame's size or, if `quick`, in its own size.
  grey(shown, name, { quick, width, height, view }) {
    const { gl } = this;
    if (name === "second" && view !== "wipe" && view !== "difference") return this.texture("none", gl.LINEAR);
    if (!quick) {
      this.enlarge(shown, name, width, height);
      return this.target(name, width, height).texture;
    }
    const texture = this.texture(`quick ${name}`, gl.LINEAR);
    const { rows, columns, levels } = shown.map ?? { rows: 1, columns: 1, levels: new Uint8Array(1) };
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, columns, rows, 0, gl.RED, gl.UNSIGNED_BYTE, levels);
    return texture;
  }
  enlarge({ map, gain, offset }, name, width, height) {
    const { gl } = this;
    const last = this.target(name, width, height);
    if (!map) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, last.frame);
      gl.clearColor(64 / 255, 0, 0, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      return;
    }
    this.use("enlarge");
    gl.uniform1f(this.place("enlarge", "gain"), gain);
    gl.uniform1f(this.place("enlarge", "offset"), offset);
    const middle = this.target("across", width, map.rows);
    this.bind(0, "source", this.texture("map", gl.NEAREST));
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, map.columns, map.rows, 0, gl.RED, gl.UNSIGNED_BYTE, map.levels);
    this.step(map.columns, width, false);
    this.fill(middle.frame, width, map.rows);
    this.bind(0, "source", middle.texture);
    this.step(map.rows, height, true);
    this.fill(last.frame, width, height);
  }
  step(from, to, down) {
    const { gl } = this;
    const table = this.table(from, to);
    this.bind(1, "weights", table.texture, "enlarge");
    gl.uniform1i(this.place("enlarge", "taps"), table.taps);
    gl.uniform1i(this.place("enlarge", "down"), Number(down));
    gl.uniform1i(this.place("enlarge", "raw"), Number(!down));
  }
  table(from, to) {
    const { gl } = this;
    const name = `${from}>${to}`;
    let made = this.tables.get(name);
    if (!made) {
      const table = enlargement(from, to);
      const wide = table.taps + 1;
      const numbers = new Float32Array(to * wide);
      for (let pixel = 0; pixel < to; pixel++) {
        numbers[pixel * wide] = table.starts[pixel];
        numbers.set(table.weights.subarray(pixel * table.taps, (pixel + 1) * table.taps), pixel * wide + 1);
      }
      const texture = this.texture(name, gl.NEAREST);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.R32F, wide, to, 0, gl.RED, gl.FLOAT, numbers);
      made = { texture, taps: table.taps };
      this.tables.set(name, made);
    }
    return made;
  }
  colours(unit, name, table) {
    const { gl } = this;
    this.bind(unit, name, this.texture(name, gl.NEAREST));
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, 256, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, table);
  }
  fill(frame, width, height) {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.viewport(0, 0, width, height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
  program(fragment) {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, text] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, fragment]
    ]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "no program");
    return program;
  }
  use(name) {
    this.using = name;
    this.gl.useProgram(this.programs[name]);
  }
  place(program, name) {
    const key = `${program}.${name}`;
    if (!this.places.has(key)) this.places.set(key, this.gl.getUniformLocation(this.programs[program], name));
    return this.places.get(key) ?? null;
  }
  bind(unit, name, texture, program = this.using) {
    this.gl.activeTexture(this.gl.TEXTURE0 + unit);
    this.gl.bindTexture(this.gl.TEXTURE_2D, texture);
    this.gl.uniform1i(this.place(program, name), unit);
  }
  // The texture of this name, created if necessary and bound to the unit ASIDE.
  texture(name, filter) {
    const { gl } = this;
    let texture = this.textures.get(name);
    if (!texture) {
      texture = gl.createTexture();
      this.textures.set(name, texture);
    }
    gl.activeTexture(gl.TEXTURE0 + ASIDE);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    for (const [what, value] of [
      [gl.TEXTURE_MIN_FILTER, filter],
      [gl.TEXTURE_MAG_FILTER, filter],
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE],
      [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE]
    ])
      gl.texParameteri(gl.TEXTURE_2D, what, value);
    return texture;
  }
  target(name, width, height) {
    const { gl } = this;
    const size = `${width}x${height}`;
    const known2 = this.targets.get(name);
    if (known2?.size === size) return known2;
    const texture = this.texture(`target ${name}`, gl.NEAREST);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
    const frame = known2?.frame ?? gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    const made = { texture, frame, size };
    this.targets.set(name, made);
    return made;
  }
};

// src/tiles.ts
function layout(count, shape) {
  const columns = Math.min(count, Math.max(1, Math.ceil(Math.sqrt(count * 1.78 / shape) - 0.2)));
  return [columns, Math.ceil(count / columns)];
}
var Tiles = class {
  canvas = document.createElement("canvas");
  context = this.canvas.getContext("2d");
  size(width, height) {
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
  }
  put(picture, x, y, name) {
    const { context } = this;
    context.drawImage(picture, x, y);
    const letters = Math.max(12, Math.round(picture.width / 32));
    context.font = `600 ${letters}px sans-serif`;
    context.textBaseline = "top";
    context.lineJoin = "round";
    context.lineWidth = letters / 4;
    context.strokeStyle = "black";
    context.fillStyle = "white";
    context.strokeText(name, x + 6, y + 6, picture.width - 12);
    context.fillText(name, x + 6, y + 6, picture.width - 12);
  }
};
function correlation(first, second) {
  const { rows, columns } = first;
  let [sumA, sumB, sumAA, sumBB, sumAB] = [0, 0, 0, 0, 0];
  for (let row = 0; row < rows; row++) {
    const other = Math.floor((row + 0.5) * second.rows / rows) * second.columns;
    for (let column = 0; column < columns; column++) {
      const a = first.levels[row * columns + column];
      const b = second.levels[other + Math.floor((column + 0.5) * second.columns / columns)];
      sumA += a;
      sumB += b;
      sumAA += a * a;
      sumBB += b * b;
      sumAB += a * b;
    }
  }
  const count = rows * columns;
  const spread2 = Math.sqrt((sumAA - sumA * sumA / count) * (sumBB - sumB * sumB / count));
  return spread2 > 0 ? (sumAB - sumA * sumB / count) / spread2 : Number.NaN;
}

// src/agreement.ts
function agreement(maps, frame) {
  const head = h("tr", {}, h("th", { scope: "col" }, "CC"), ...maps.map(([name]) => h("th", { scope: "col" }, name)));
  const rows = maps.map(
    ([name, first], row) => h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      ...maps.map(([, second], column) => {
        const value = row === column ? 1 : first && second ? correlation(first, second) : Number.NaN;
        const shade = Math.round(45 * Math.max(value || 0, 0));
        return h("td", { style: `background: color-mix(in srgb, var(--accent) ${shade}%, transparent)` }, Number.isNaN(value) ? "" : value.toFixed(3));
      })
    )
  );
  return h("table", {}, h("caption", {}, `How the maps of frame ${frame} correlate`), h("thead", {}, head), h("tbody", {}, ...rows));
}

// src/keys.ts
var FAR = 16;
var LONE = "needs a second map: maps={name: ..., name: ...}";
function lines(meta, hands) {
  const views = meta.views.map((view, n) => [`${n + 1}`, () => hands.view(view)]);
  return [
    ["space", "play, pause", { " ": hands.play }],
    ["← →", "a frame back, on", { ArrowLeft: () => hands.step(-1), ArrowRight: () => hands.step(1) }],
    ["↓ ↑", `${FAR} frames back, on`, { ArrowDown: () => hands.step(-FAR), ArrowUp: () => hands.step(FAR) }],
    ["Home End", "the first frame, the last", { Home: () => hands.go(0), End: () => hands.go(meta.frames - 1) }],
    ["[ ]", "opacity", { "[": () => hands.fade(-1), "]": () => hands.fade(1) }],
    ["l", "loop", { l: hands.loop }],
    ["n", "note at this frame", { n: hands.note }],
    ["r", "draw a region", { r: hands.region }],
    ["shift and arrows, Delete", "move or drop the selected region", {}],
    // handled by the outliner
    ["+ - 0", "zoom in, out, not at all", { "+": () => hands.zoom(1.25), "-": () => hands.zoom(0.8), "0": () => hands.zoom(0) }],
    ["f", "full screen", { f: hands.full }],
    ["s", "save the frame as a PNG", { s: hands.save }],
    ["?", "show or hide this", { "?": hands.help, Escape: hands.close }],
    [`1 ... ${views.length}`, meta.views.join(", "), Object.fromEntries(views)]
  ];
}
function keys(meta, hands) {
  return new Map(lines(meta, hands).flatMap(([, , done]) => Object.entries(done)));
}
function isSave({ key, ctrlKey, metaKey }) {
  return (ctrlKey || metaKey) && key.toLowerCase() === "s";
}
function help(meta, hands) {
  const rows = lines(meta, hands).map(([shown, what]) => h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, shown)), h("td", {}, what)));
  const more = "Drag on the timeline to choose a range, double-click to clear it; shift + wheel zooms in time, control + wheel in the picture.";
  const table = h("table", {}, h("caption", {}, "Keys, while the viewer has the focus"), h("tbody", {}, ...rows));
  return h("div", { class: "tinyhd-help", role: "region", "aria-label": "Keys", hidden: true }, table, h("p", {}, more), button("Close (Escape)", hands.close, "close"));
}

// src/bars.ts
function toolbar(meta, hands) {
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
    tool("help", "Keys (?)", hands.help)
  ];
  const root = h(
    "div",
    { class: "tinyhd-toolbar" },
    h("div", { class: "tinyhd-views", role: "group", "aria-label": "View" }, ...views),
    source.root,
    other.root,
    h("div", { class: "tinyhd-tools", role: "group", "aria-label": "Tools" }, ...tools)
  );
  const sync = (now) => {
    views.forEach((each, n) => each.setAttribute("aria-pressed", String(meta.views[n] === now.view)));
    [source.select.value, other.select.value] = [now.source, now.other];
  };
  return { root, sync };
}
function transport(meta, hands) {
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
    range
  );
  const sync = (now) => {
    speed.select.value = String(now.speed);
    play.replaceChildren(icon(now.playing ? "pause" : "play"));
    play.setAttribute("aria-label", now.playing ? "Pause (space)" : "Play (space)");
    loop.setAttribute("aria-pressed", String(now.loop));
    range.textContent = now.stop < 0 ? "" : `frames ${now.start} to ${now.stop}`;
  };
  return { root, sync, jump };
}

// src/drawer.ts
function drawer(meta, change2, files) {
  const alpha = fraction("opacity", "Opacity of what is most salient ([ and ])", 1, (value) => change2({ alpha: value }));
  const floor = fraction("floor", "Hide the overlay below this level (1 is white)", 0.95, (value) => change2({ floor: value }));
  const scale = choice("scale", "Which values are black and white", Object.keys(meta.scales), (value) => change2({ normalise: value }));
  const colours = choice("colours", "Colour map", meta.colormaps, (value) => change2({ colormap: value }));
  const points = toggle("gaze points", "Ring every place where somebody looked", (on) => change2({ points: on }));
  const whole2 = String(meta.duration);
  const trail = choice(
    "trail",
    "Length of the scanpaths, in seconds",
    ["0", "0.5", "1", "2", whole2],
    (value) => change2({ trail: Number(value), points: true })
  );
  trail.select.options[4].text = "all";
  const observer = choice(
    "observer",
    "Whose gaze is shown",
    ["-1", ...meta.observers.map(String)],
    (value) => change2({ observer: Number(value), points: true })
  );
  observer.select.options[0].text = "everybody";
  const peak = toggle("peak", "Mark the most salient pixel with a cross", (on) => change2({ peak: on }));
  points.root.hidden = trail.root.hidden = !meta.gaze.length;
  observer.root.hidden = !meta.observers.length;
  const strips = meta.strips.map((strip) => ({ strip, ...toggle(strip, `Show ${strip} over time`, () => chosen()) }));
  const chosen = () => change2({ strips: strips.filter(({ input }) => input.checked).map(({ strip }) => strip) });
  const overTime = h("fieldset", { class: "tinyhd-strips" }, h("legend", {}, "over time"), ...strips.map((each) => each.root));
  const buttons = files.map(([word, title, made]) => button(title, made, icon("save"), ` ${word}`));
  const pieces = [alpha.root, floor.root, scale.root, colours.root, points.root, trail.root, observer.root, peak.root, overTime, ...buttons];
  const root = h("div", { class: "tinyhd-drawer", hidden: true }, ...pieces);
  const sync = (now) => {
    [alpha.input.value, alpha.output.value] = [String(now.alpha), now.alpha.toFixed(2)];
    [floor.input.value, floor.output.value] = [String(now.floor), now.floor.toFixed(2)];
    [scale.select.value, colours.select.value] = [now.normalise, now.colormap];
    [points.input.checked, peak.input.checked] = [now.points, now.peak];
    [trail.select.value, observer.select.value] = [String(now.trail), String(now.observer)];
    for (const { strip, input } of strips) input.checked = now.strips.includes(strip);
  };
  return { root, sync };
}

// src/colours.ts
var COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#7f7f7f"];
var DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
function observerColour(observer) {
  return `hsl(${observer * 137.5 % 360} 85% 65%)`;
}

// src/marks.ts
function extremes(first, second) {
  const { rows, columns } = first;
  let [most, least, above, below] = [0, 0, -1, -1];
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column;
      const across = Math.floor(column * second.columns / columns);
      const apart = first.levels[at] - second.levels[Math.floor(row * second.rows / rows) * second.columns + across];
      if (apart > most) [most, above] = [apart, at];
      if (apart < least) [least, below] = [apart, at];
    }
  return [
    { sign: "+", at: above },
    { sign: "−", at: below }
  ].filter(({ at }) => at >= 0).map(({ sign, at }) => ({ sign, x: (at % columns + 0.5) / columns, y: (Math.floor(at / columns) + 0.5) / rows }));
}
var Marks = class {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }
  canvas;
  context;
  isMarked = false;
  cell = { x: 0, y: 0, width: 1, height: 1 };
  clear(width, height) {
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    else if (this.isMarked) this.context.clearRect(0, 0, width, height);
    this.isMarked = false;
  }
  // Place the marks that follow within this cell of the canvas.
  within(x, y, width, height) {
    this.cell = { x, y, width, height };
  }
  // Rings where observers look at this frame, and their scanpaths over the `span` frames before it.
  gaze(points, frame, span) {
    const { context, cell } = this;
    this.isMarked = true;
    const radius = Math.max(3, cell.width / 160);
    const before = /* @__PURE__ */ new Map();
    context.lineCap = "round";
    for (const [at, observer, x, y] of points) {
      const place = this.place([x, y]);
      const previous = before.get(observer);
      if (previous && observer >= 0) {
        context.globalAlpha = 1 - 0.8 * (frame - at) / Math.max(span, 1);
        context.lineWidth = 2;
        context.strokeStyle = observerColour(observer);
        context.beginPath();
        context.moveTo(...previous);
        context.lineTo(...place);
        context.stroke();
      }
      before.set(observer, place);
      if (at !== frame) continue;
      context.globalAlpha = 1;
      this.ring(place, radius, observer < 0 ? "white" : observerColour(observer));
    }
    context.globalAlpha = 1;
  }
  cross(x, y) {
    const { context } = this;
    const size = Math.max(6, this.cell.width / 80);
    const [across, down] = this.place([x, y]);
    this.lined("white", 1, () => {
      context.moveTo(across - size, down);
      context.lineTo(across + size, down);
      context.moveTo(across, down - size);
      context.lineTo(across, down + size);
    });
  }
  sign(text, x, y) {
    this.write(text, this.place([x, y]), Math.max(18, this.cell.width / 26), "center");
  }
  region({ name, points, colour, closed, held }) {
    const { context } = this;
    if (!points.length) return;
    const places = points.map((each) => this.place(each));
    this.lined(colour, 2, () => {
      for (const place of places) context.lineTo(...place);
      if (closed) context.closePath();
    });
    if (held) for (const place of places) this.ring(place, 5, "white");
    const [left, top] = places.reduce(([x, y], place) => place[1] < y || place[1] === y && place[0] < x ? place : [x, y]);
    this.write(name, [left + 6, Math.min(top + 14, this.cell.y + this.cell.height - 8)], Math.max(12, this.cell.width / 50), "left");
  }
  place([x, y]) {
    const { cell } = this;
    return [cell.x + x * cell.width, cell.y + y * cell.height];
  }
  write(text, [x, y], letters, align) {
    const { context } = this;
    this.isMarked = true;
    context.font = `bold ${letters}px sans-serif`;
    context.textAlign = align;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 4;
    context.strokeStyle = "black";
    context.fillStyle = "white";
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  }
  ring([x, y], radius, colour) {
    this.lined(colour, 1.5, () => this.context.arc(x, y, radius, 0, 2 * Math.PI));
  }
  // A line with a black outline, so that it is visible on any background.
  lined(colour, thick, path) {
    const { context } = this;
    this.isMarked = true;
    for (const [style, width] of [
      ["black", thick + 2],
      [colour, thick]
    ]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.beginPath();
      path();
      context.stroke();
    }
  }
};

// src/easel.ts
var Easel = class {
  constructor(scene, slower) {
    this.scene = scene;
    try {
      this.draws = new Painter(document.createElement("canvas"));
    } catch {
      slower("no WebGL in this browser: drawn on the processor, slower");
      this.draws = new Canvas(document.createElement("canvas"));
    }
  }
  scene;
  marks = new Marks(document.createElement("canvas"));
  draws;
  tiles = new Tiles();
  get kind() {
    return this.draws.kind;
  }
  get canvases() {
    return [this.draws.canvas, this.tiles.canvas, this.marks.canvas];
  }
  // How many columns and rows of frames the picture has.
  cells(view) {
    if (view === "side-by-side") return [2, 1];
    const [width, height] = this.scene.meta.size;
    return view === "grid" ? layout(this.scene.meta.sources.length, width / height) : [1, 1];
  }
  // The canvas that holds everything but the marks.
  canvas(view) {
    return view === "grid" ? this.tiles.canvas : this.draws.canvas;
  }
  // Draw a frame at this size; `quick` if the video plays below the canvas and shows through.
  draw(settings, frame, image, size, quick, outlines) {
    const { scene } = this;
    const { view, source, other } = settings;
    const [columns, rows] = this.cells(view);
    const [width, height] = size;
    this.canvases[0].hidden = view === "grid";
    this.canvases[1].hidden = view !== "grid";
    if (view === "grid") {
      this.tiles.size(columns * width, rows * height);
      scene.meta.sources.forEach((name, n) => {
        this.draws.draw(this.picture(settings, frame, image, [width, height], false, "overlay", name, name));
        this.tiles.put(this.draws.canvas, n % columns * width, Math.floor(n / columns) * height, name);
      });
    } else this.draws.draw(this.picture(settings, frame, image, size, quick, view, source, other));
    const [across, down] = quick ? size.map((side) => 2 * side) : size;
    this.marks.clear(columns * across, rows * down);
    const names = view === "grid" ? scene.meta.sources : [source];
    for (let n = 0; n < (view === "grid" ? names.length : columns); n++) {
      this.marks.within(n % columns * across, Math.floor(n / columns) * down, across, down);
      this.mark(settings, frame, names[n % names.length], outlines, n === 0);
    }
  }
  // The picture and the marks on one canvas.
  flattened(view) {
    const sheet = document.createElement("canvas");
    const picture = this.canvas(view);
    [sheet.width, sheet.height] = [picture.width, picture.height];
    const context = sheet.getContext("2d", { alpha: false });
    context.drawImage(picture, 0, 0);
    context.drawImage(this.marks.canvas, 0, 0, sheet.width, sheet.height);
    return sheet;
  }
  dispose() {
    this.draws.dispose();
  }
  picture(settings, frame, image, [width, height], quick, view, source, other) {
    const { scene } = this;
    const shown = (name) => scaled(scene.parts.map(name, frame), scene.scale(name, settings.normalise));
    const isTwo = view !== "grid" && scene.meta.comparing.includes(view);
    return {
      image,
      width,
      height,
      view,
      first: shown(source),
      second: isTwo ? shown(other) : scaled(null, null),
      alpha: settings.alpha,
      floor: settings.floor,
      border: settings.border,
      quick,
      colours: scene.table(settings.colormap),
      diverging: scene.diverging
    };
  }
  mark(settings, frame, source, outlines, isFirst) {
    const { marks, scene } = this;
    for (const outline of outlines) marks.region(outline);
    const [first, second] = [source, settings.other].map((name) => scene.parts.map(name, frame));
    if (settings.points) {
      const { points, span } = scene.gaze(settings, frame);
      marks.gaze(points, frame, span);
    }
    if (settings.peak && first && first.high > first.low) marks.cross(...first.peak);
    if (settings.view === "difference" && isFirst && first && second)
      for (const { sign, x, y } of extremes(first, second)) marks.sign(sign, x, y);
  }
};

// src/group.ts
var members = globalThis.tinyhdViewers ??= /* @__PURE__ */ new Set();
function join(member) {
  members.add(member);
  return () => members.delete(member);
}
function tell(from, moment) {
  const group = from.group();
  if (!group) return;
  for (const each of members) if (each !== from && each.group() === group) each.follow(moment);
}

// src/times.ts
function frameAt(times, time) {
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = low + high + 1 >> 1;
    if (times[middle] <= time) low = middle;
    else high = middle - 1;
  }
  return low;
}
function middleOf(times, frame, end) {
  const next = frame + 1 < times.length ? times[frame + 1] : Math.max(end, times[frame] + 0.01);
  return (times[frame] + next) / 2;
}
function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = (seconds - 60 * minutes).toFixed(2);
  return minutes ? `${minutes}:${rest.padStart(5, "0")}` : `${rest} s`;
}
function tickStep(length, most) {
  const least = length / most;
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5, 10].find((step) => step * power >= least) ?? 10);
}
function short(value) {
  const size = Math.abs(value);
  if (size === 0 || size >= 0.01 && size < 1e4) return `${+value.toPrecision(3)}`;
  return value.toExponential(1).replace("e-", "e−").replace("e+", "e");
}

// src/legend.ts
var NOTHING = 1e-4;
var Legend = class {
  // in fractions of the frame's width and height
  constructor(scene) {
    this.scene = scene;
  }
  scene;
  caption = h("div", { class: "tinyhd-caption" });
  bar = h("div", { class: "tinyhd-bar", "aria-hidden": "true" });
  reading = h("div", { class: "tinyhd-reading" });
  pointer = null;
  // A description of the picture for screen readers.
  label({ normalise }) {
    return `${this.caption.textContent}; ${normalise}: ${this.scene.meta.scales[normalise]}`;
  }
  show(now, frame, time) {
    const map = this.scene.parts.map(now.source, frame) ?? null;
    const what = {
      wipe: `left ${now.source}, right ${now.other}`,
      difference: `${now.source} more (orange, +) or less (purple, -) than ${now.other}`,
      grid: this.scene.meta.sources.join(", ")
    };
    const missing = map ? "" : "; no map of this frame";
    this.caption.textContent = `frame ${frame}, ${clock(time)}; ${now.view}: ${what[now.view] ?? now.source}${missing}`;
    this.showBar(now, map);
    this.read(now, frame);
  }
  read(now, frame) {
    const { pointer, scene } = this;
    if (!pointer) {
      this.reading.textContent = "point at the picture to read the map";
      return;
    }
    const [x, y] = pointer;
    const at = (part, length) => Math.min(Math.floor(part * length), length - 1);
    const [width, height] = scene.meta.size;
    const sources = scene.sources(now);
    const values = sources.map((name) => {
      const map = scene.parts.map(name, frame);
      if (!map) return `${name}: no map`;
      const level = map.levels[at(y, map.rows) * map.columns + at(x, map.columns)];
      const value = map.low + level / 255 * (map.high - map.low);
      const below = map.levels.reduce((count, each) => count + Number(each <= level), 0);
      return `${sources.length > 1 ? `${name} ` : ""}${value < 0.01 ? value.toExponential(2) : value.toPrecision(3)}, percentile ${(100 * below / map.levels.length).toFixed(1)}`;
    });
    this.reading.textContent = `x ${at(x, width)}, y ${at(y, height)}: ${values.join("; ")} of the frame`;
  }
  showBar(now, map) {
    const { scene, bar } = this;
    const isDifference = now.view === "difference";
    const [low, high] = scene.scale(now.source, now.normalise) ?? [map?.low ?? 0, map?.high ?? 1];
    const table = isDifference ? scene.diverging : scene.table(now.colormap);
    const tick = (value) => short(Math.abs(value) < NOTHING * (high - low) ? 0 : value);
    const ticks = isDifference ? ["less", "equal", "more"] : [low, (low + high) / 2, high].map(tick);
    const stops = Array.from({ length: 17 }, (_, n) => Math.min(16 * n, 255)).map(
      (at) => `rgb(${[0, 1, 2].map((each) => table?.[3 * at + each]).join(" ")})`
    );
    bar.style.setProperty("--ramp", `linear-gradient(to right, ${stops.join(", ")})`);
    bar.title = scene.meta.scales[now.normalise];
    bar.replaceChildren(...ticks.map((each) => h("span", {}, each)));
  }
};

// src/files.ts
function download(name, content) {
  const address = URL.createObjectURL(content);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 6e4);
}
function csv(lines2) {
  const quoted = (cell) => /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  return new Blob([lines2.map((line) => `${line.map(quoted).join(",")}
`).join("")], { type: "text/csv" });
}
function chunk(name, content) {
  const bytes = new Uint8Array(8 + content.length + content.length % 2);
  bytes.set([...name].map((letter) => letter.charCodeAt(0)));
  new DataView(bytes.buffer).setUint32(4, content.length, true);
  bytes.set(content, 8);
  return bytes;
}
function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
function whole(value, bytes) {
  return Array.from({ length: bytes }, (_, n) => Math.floor(value / 256 ** n) % 256);
}
function pixelsOf(file) {
  for (let at = 12; at + 8 <= file.length; ) {
    const length = new DataView(file.buffer, file.byteOffset + at + 4).getUint32(0, true);
    const end = at + 8 + length + length % 2;
    if (String.fromCharCode(...file.subarray(at, at + 3)) === "VP8" && file[at + 3] !== "X".charCodeAt(0)) return file.subarray(at, end);
    at = end;
  }
  throw new Error("this browser cannot write WebP");
}
function animated(files, milliseconds, width, height) {
  const size = [...whole(width - 1, 3), ...whole(height - 1, 3)];
  const head = chunk("VP8X", Uint8Array.from([2, 0, 0, 0, ...size]));
  const anim = chunk("ANIM", Uint8Array.from([0, 0, 0, 255, 0, 0]));
  const frames = files.map((file, n) => {
    const about = Uint8Array.from([...whole(0, 6), ...size, ...whole(Math.round(milliseconds[n]), 3), 2]);
    return chunk("ANMF", joined([about, pixelsOf(file)]));
  });
  const body = joined([Uint8Array.from([..."WEBP"].map((letter) => letter.charCodeAt(0))), head, anim, ...frames]);
  return new Blob([chunk("RIFF", body)], { type: "image/webp" });
}

// src/notes.ts
var Notes = class {
  constructor(meta, asked) {
    this.meta = meta;
    this.asked = asked;
  }
  meta;
  asked;
  root = h("div", { class: "tinyhd-notes" });
  listed = [];
  sync({ notes }) {
    if (notes === this.listed) return;
    this.listed = notes;
    const drop = (n) => this.asked.change({ notes: notes.filter((_, at) => at !== n) });
    const lines2 = notes.map(
      ({ frame, text }, n) => h("li", {}, button("Go there", () => this.asked.go(frame), `${frame}`), ` ${text} `, tool("×", `Drop the note at ${frame}`, () => drop(n)))
    );
    const save = button("Save the notes as a table", () => this.save(), "notes as CSV");
    this.root.replaceChildren(...notes.length ? [h("ul", { "aria-label": "Notes" }, ...lines2), save] : []);
  }
  // Ask for the text of a note.
  add(frame) {
    const field = h("input", { type: "text", placeholder: "what is seen here", "aria-label": "Note" });
    const line = h("div", {}, `${frame} `, field);
    this.root.prepend(line);
    field.focus();
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" && event.key !== "Escape") return;
      line.remove();
      this.asked.leave();
      const text = field.value.trim();
      if (event.key === "Escape" || !text) return;
      this.asked.change({ notes: [...this.listed, { frame, text }].sort((a, b) => a.frame - b.frame) });
    });
  }
  save() {
    const lines2 = this.listed.map(({ frame, text }) => [`${frame}`, (this.asked.times()[frame] ?? 0).toFixed(3), text]);
    download(`${this.meta.name}_notes.csv`, csv([["frame", "seconds", "note"], ...lines2]));
  }
};

// src/parts.ts
var MOST_MAPS = 24;
var MOST_GAZE = 500;
var AT_ONCE = 16;
var HEAD = 6;
var ABOUT = 20;
async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
async function breathe(frame) {
  if (frame % AT_ONCE === AT_ONCE - 1) await new Promise((go) => setTimeout(go));
}
async function undifferenced(packed, rows, columns, frames) {
  const size = rows * columns;
  const levels = new Uint8Array(packed.length);
  for (let frame = 0; frame < frames; frame++) {
    await breathe(frame);
    const start = frame * size;
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      const begin = start + row * columns;
      for (let at = begin; at < begin + columns; at++) {
        sum = sum + packed[at] & 255;
        levels[at] = frame ? sum + levels[at - size] : sum;
      }
    }
  }
  return levels;
}
function weigher({ levels, low, high, base }) {
  const gain = (high - low) / 255;
  return (at) => levels[at] ? low + gain * (levels[at] + 0.5) : base;
}
async function unpackMaps(part) {
  const view = new DataView(part);
  const [rows, columns, frames] = [0, 2, 4].map((at) => view.getUint16(at, true));
  const packed = await inflate(new Uint8Array(part, HEAD + ABOUT * frames));
  const levels = await undifferenced(packed, rows, columns, frames);
  return Array.from({ length: frames }, (_, n) => {
    const [low, high, x, y, base] = [0, 4, 8, 12, 16].map((at) => view.getFloat32(HEAD + ABOUT * n + at, true));
    if (Number.isNaN(low)) return null;
    return { rows, columns, levels: levels.subarray(n * rows * columns, (n + 1) * rows * columns), low, high, base, peak: [x, y] };
  });
}
var Kept = class {
  constructor(most) {
    this.most = most;
  }
  most;
  values = /* @__PURE__ */ new Map();
  known = /* @__PURE__ */ new Map();
  peek(name) {
    const value = this.known.get(name);
    if (value !== void 0) {
      this.known.delete(name);
      this.known.set(name, value);
    }
    return value;
  }
  get(name, make) {
    let value = this.values.get(name);
    if (!value) {
      value = make();
      this.values.set(name, value);
      value.then(
        (each) => {
          this.known.set(name, each);
          for (const oldest of this.known.keys()) {
            if (this.known.size <= this.most) break;
            this.known.delete(oldest);
            this.values.delete(oldest);
          }
        },
        () => this.values.delete(name)
      );
    }
    return value;
  }
};
var Parts = class {
  constructor(host) {
    this.host = host;
    this.meta = host.meta;
  }
  host;
  maps = new Kept(MOST_MAPS);
  gaze = new Kept(MOST_GAZE);
  traces = new Kept(100);
  small = new Kept(200);
  meta;
  chunkOf(frame) {
    return Math.floor(frame / this.meta.chunk);
  }
  // A frame's map: null if it has none, undefined if it has not arrived yet.
  map(name, frame) {
    return this.maps.peek(`${name}|${this.chunkOf(frame)}`)?.[frame % this.meta.chunk];
  }
  needMaps(name, chunk2) {
    return this.maps.get(`${name}|${chunk2}`, async () => unpackMaps(await this.bytes(["maps", name, chunk2])));
  }
  // The maps of a chunk for a single use: requested with low priority and not cached, so they displace no others.
  async passing(name, chunk2) {
    return this.maps.peek(`${name}|${chunk2}`) ?? unpackMaps((await this.host.ask([["maps", name, chunk2]], true))[0]);
  }
  // The gaze points of a chunk, if they have arrived.
  points(name, chunk2) {
    return this.gaze.peek(`${name}|${chunk2}`);
  }
  needPoints(name, chunk2) {
    return this.gaze.get(`${name}|${chunk2}`, async () => new Float32Array(await this.bytes(["points", name, chunk2])));
  }
  trace(strip, source) {
    const name = `${strip}@${source}`;
    return this.traces.get(name, async () => JSON.parse(new TextDecoder().decode(await this.bytes(["trace", name, 0]))));
  }
  bytes(key) {
    return this.host.ask([key]).then(([part]) => part);
  }
  // A small part that is requested repeatedly, and therefore cached.
  keep(key) {
    return this.small.get(key.join("|"), () => this.bytes(key));
  }
};

// src/regions.ts
var LINES = 4;
function outlinesOf(regions, frame, selected = -1) {
  return regions.map((region, n) => ({
    name: region.name,
    points: placed(region, frame),
    colour: COLOURS[n % COLOURS.length],
    closed: true,
    held: n === selected
  }));
}
function placed({ keys: keys2 }, frame) {
  const next = keys2.findIndex((key) => key.frame >= frame);
  if (next < 0) return keys2[keys2.length - 1].points;
  if (next === 0) return keys2[0].points;
  const [before, after] = [keys2[next - 1], keys2[next]];
  const part = (frame - before.frame) / (after.frame - before.frame);
  return before.points.map(([x, y], n) => [x + part * (after.points[n][0] - x), y + part * (after.points[n][1] - y)]);
}
function moved(region, frame, points, moves) {
  if (!moves) return { ...region, keys: [{ frame: 0, points }] };
  const others = region.keys.filter((key) => key.frame !== frame);
  return { ...region, keys: [...others, { frame, points }].sort((a, b) => a.frame - b.frame) };
}
function rectangle([left, top], [right, bottom]) {
  return [
    [left, top],
    [right, top],
    [right, bottom],
    [left, bottom]
  ];
}
function isInside(points, [x, y]) {
  return crossings(points, y).filter((at) => at > x).length % 2 === 1;
}
function crossings(points, y) {
  const found = [];
  points.forEach(([x1, y1], n) => {
    const [x2, y2] = points[(n + 1) % points.length];
    if (y1 <= y !== y2 <= y) found.push(x1 + (y - y1) / (y2 - y1) * (x2 - x1));
  });
  return found.sort((a, b) => a - b);
}
function coverage(points, rows, columns) {
  const covered = new Float32Array(rows * columns);
  for (let line = 0; line < LINES * rows; line++) {
    const start = Math.floor(line / LINES) * columns;
    const edges = crossings(points, (line + 0.5) / (LINES * rows));
    for (let n = 0; n + 1 < edges.length; n += 2) {
      const [left, right] = [edges[n], edges[n + 1]].map((x) => Math.min(Math.max(x, 0), 1) * columns);
      for (let column = Math.floor(left); column < right; column++)
        covered[start + column] += (Math.min(right, column + 1) - Math.max(left, column)) / LINES;
    }
  }
  return covered;
}
function area(covered) {
  return covered.reduce((sum, each) => sum + each, 0) / covered.length;
}
function share(map, covered) {
  const weigh = weigher(map);
  let [inside, all] = [0, 0];
  for (let at = 0; at < covered.length; at++) {
    const value = weigh(at);
    inside += covered[at] * value;
    all += value;
  }
  return all > 0 ? inside / all : Number.NaN;
}

// src/outliner.ts
var NUDGE = 0.01;
var HOW = "drag a rectangle, or click corner by corner and press Enter; Escape stops";
var Outliner = class {
  // names of regions that have one key frame so far, and are to get more
  constructor(asked) {
    this.asked = asked;
  }
  asked;
  selected = -1;
  isDrawing = false;
  corners = [];
  // of the region being drawn
  pressed = null;
  held = null;
  preview = null;
  moving = /* @__PURE__ */ new Set();
  begin() {
    this.isDrawing = !this.isDrawing;
    this.corners = [];
    this.selected = -1;
    this.asked.tell(this.isDrawing ? HOW : "");
    this.asked.redraw();
  }
  select(index) {
    this.selected = index;
    this.asked.redraw();
  }
  moves(region) {
    return region.keys.length > 1 || this.moving.has(region.name);
  }
  // Let a region move by key frames, or fix it where it is at this frame.
  setMoves(index, moves) {
    const region = this.asked.regions()[index];
    const [frame, points] = [this.asked.frame(), placed(region, this.asked.frame())];
    if (moves) this.moving.add(region.name);
    else this.moving.delete(region.name);
    this.replace(index, { ...region, keys: [{ frame: moves ? frame : 0, points }] });
  }
  rename(index, name) {
    const regions = this.asked.regions();
    if (!name || regions.some((each, n) => n !== index && each.name === name)) {
      this.asked.tell(`there is a region ${name || "without a name"} already`);
      return;
    }
    if (this.moving.delete(regions[index].name)) this.moving.add(name);
    this.replace(index, { ...regions[index], name });
  }
  drop(index) {
    this.selected = -1;
    this.asked.change(this.asked.regions().filter((_, n) => n !== index));
  }
  // Handle a pointer press; returns whether it was used. `near` is the distance within which a corner is hit.
  press(at, near) {
    if (this.isDrawing) {
      if (this.corners.length > 2 && distance(at, this.corners[0]) < near) this.finish(this.corners);
      else this.pressed = at;
      return true;
    }
    const regions = this.asked.regions();
    const chosen = regions[this.selected];
    if (chosen) {
      const points = placed(chosen, this.asked.frame());
      const corner = points.findIndex((each) => distance(each, at) < near);
      if (corner >= 0 || isInside(points, at)) {
        this.held = { corner, points, from: at };
        return true;
      }
    }
    const before = this.selected;
    this.selected = regions.findLastIndex((each) => isInside(placed(each, this.asked.frame()), at));
    if (this.selected !== before) this.asked.redraw();
    return this.selected >= 0;
  }
  drag(at) {
    if (this.held) {
      const { corner, points, from } = this.held;
      const shift = (each, n) => corner < 0 || n === corner ? [each[0] + at[0] - from[0], each[1] + at[1] - from[1]] : each;
      this.preview = this.with(this.selected, points.map(shift));
    }
    if (this.pressed && !this.corners.length) this.preview = [...this.asked.regions(), { name: "", keys: [{ frame: 0, points: rectangle(this.pressed, at) }] }];
    if (!this.held && !this.pressed) return false;
    this.asked.redraw();
    return true;
  }
  release(at, near) {
    const { pressed, held, preview } = this;
    [this.pressed, this.held, this.preview] = [null, null, null];
    if (held && preview) this.asked.change(preview);
    if (pressed) {
      if (!this.corners.length && distance(pressed, at) > near) this.finish(rectangle(pressed, at));
      else this.corners.push(at);
      this.asked.redraw();
    }
    return Boolean(pressed ?? held);
  }
  // Handle Enter and Escape while drawing, and shift with arrows, and Delete, for the selected region; returns whether
  // the key was used.
  key(key, shift) {
    if (this.isDrawing && key === "Enter" && this.corners.length > 2) this.finish(this.corners);
    else if (this.isDrawing && key === "Escape") this.begin();
    else if (this.selected >= 0 && key === "Delete") this.drop(this.selected);
    else if (this.selected >= 0 && shift && key in STEPS) {
      const points = placed(this.asked.regions()[this.selected], this.asked.frame());
      const [x, y] = STEPS[key];
      this.asked.change(this.with(this.selected, points.map((each) => [each[0] + x * NUDGE, each[1] + y * NUDGE])));
    } else return false;
    return true;
  }
  // The outlines of all regions at this frame.
  outlines() {
    const outlines = outlinesOf(this.preview ?? this.asked.regions(), this.asked.frame(), this.selected);
    if (this.corners.length) outlines.push({ name: "", points: this.corners, colour: "white", closed: false, held: true });
    return outlines;
  }
  finish(points) {
    const regions = this.asked.regions();
    let number = 1;
    while (regions.some(({ name }) => name === `region ${number}`)) number += 1;
    [this.isDrawing, this.corners, this.pressed, this.selected] = [false, [], null, regions.length];
    this.asked.tell("");
    this.asked.change([...regions, { name: `region ${number}`, keys: [{ frame: 0, points: points.map(bounded) }] }]);
  }
  with(index, points) {
    const regions = this.asked.regions();
    return regions.map((each, n) => n === index ? moved(each, this.asked.frame(), points.map(bounded), this.moves(each)) : each);
  }
  replace(index, region) {
    this.asked.change(this.asked.regions().map((each, n) => n === index ? region : each));
  }
};
var STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
function distance([x1, y1], [x2, y2]) {
  return Math.hypot(x1 - x2, y1 - y2);
}
function bounded([x, y]) {
  return [Math.min(Math.max(x, 0), 1), Math.min(Math.max(y, 0), 1)].map((each) => Math.round(1e4 * each) / 1e4);
}

// src/map_traces.ts
var ROWS = 48;
var COLUMNS = 64;
var LISTED = 8;
function density(map) {
  const cells = new Float64Array(ROWS * COLUMNS);
  const counts = new Float64Array(ROWS * COLUMNS);
  const weigh = weigher(map);
  for (let row = 0; row < map.rows; row++)
    for (let column = 0; column < map.columns; column++) {
      const cell = Math.floor(row * ROWS / map.rows) * COLUMNS + Math.floor(column * COLUMNS / map.columns);
      cells[cell] += weigh(row * map.columns + column);
      counts[cell] += 1;
    }
  const means = cells.map((sum, cell) => counts[cell] ? sum / counts[cell] : 0);
  const total = means.reduce((sum, each) => sum + each, 0);
  return total > 0 ? means.map((each) => each / total) : means.fill(1 / means.length);
}
function change(before, after) {
  return after.reduce((sum, each, cell) => sum + Math.abs(each - before[cell]), 0) / 2;
}
function spread(cells) {
  const nats = cells.reduce((sum, each) => each > 0 ? sum - each * Math.log(each) : sum, 0);
  return 100 * Math.exp(nats) / cells.length;
}
function offCentre({ peak: [x, y] }) {
  return 100 * Math.hypot(x - 0.5, y - 0.5) / Math.SQRT1_2;
}
var UNITS = {
  "map change": "of the map's mass moves",
  "map spread": "% of the frame",
  "peak from centre": "% of half the diagonal"
};
function isOfMaps(strip) {
  return strip in UNITS;
}
function extremeFrames(values, lowest) {
  const known2 = values.flatMap((value, frame) => value === null ? [] : [[value, frame]]);
  known2.sort(([a], [b]) => lowest ? a - b : b - a);
  const apart = Math.max(1, Math.floor(values.length / 40));
  const chosen = [];
  for (const [, frame] of known2)
    if (chosen.length < LISTED && chosen.every((other) => Math.abs(other - frame) >= apart)) chosen.push(frame);
  return chosen;
}
async function mapTraces(parts, meta, source, told) {
  const names = Object.keys(UNITS);
  const values = Object.fromEntries(names.map((name) => [name, new Array(meta.frames).fill(null)]));
  const chunks = Math.ceil(meta.frames / meta.chunk);
  let before = null;
  for (let chunk2 = 0; chunk2 < chunks; chunk2++) {
    const maps = await parts.passing(source, chunk2);
    for (const [n, map] of maps.entries()) {
      await breathe(n);
      const frame = chunk2 * meta.chunk + n;
      const cells = map && density(map);
      if (map && cells) {
        values["map change"][frame] = before && change(before, cells);
        values["map spread"][frame] = spread(cells);
        values["peak from centre"][frame] = offCentre(map);
      }
      before = cells;
    }
    if (!await told(chunk2 + 1, chunks)) return null;
  }
  return Object.fromEntries(names.map((name) => [name, { unit: UNITS[name], values: values[name] }]));
}

// src/player.ts
var MOST_BUFFERED = 40;
var LATE = 150;
var SLACK = 1e-3;
var HELD_BACK = 8;
var MPEG_4 = 64;
var REFUSED = "this page's content security policy refuses the video (blob:): frames are shown one by one, without sound";
function mimeOf(init) {
  const find = (name) => {
    const letters = [...name].map((letter) => letter.charCodeAt(0));
    for (let at = 0; at + 8 < init.length; at++) if (letters.every((letter, n) => init[at + n] === letter)) return at;
    return -1;
  };
  const profile = find("avcC") + 5;
  const codec = [...init.subarray(profile, profile + 3)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const sound = find("esds");
  if (sound < 0) return `video/mp4; codecs="avc1.${codec}"`;
  const past = (at) => {
    while (init[++at] & 128) ;
    return at + 1;
  };
  const kind = init[past(past(sound + 8) + 3)];
  return `video/mp4; codecs="avc1.${codec}, mp4a.${kind === MPEG_4 ? "40.2" : kind.toString(16)}"`;
}
function updated(buffer) {
  return new Promise((resolve) => buffer.addEventListener("updateend", resolve, { once: true }));
}
var Player = class {
  constructor(parts, meta, watcher) {
    this.parts = parts;
    this.meta = meta;
    this.watcher = watcher;
    this.range = [0, meta.frames - 1];
    const { video } = this;
    video.playsInline = true;
    video.preload = "auto";
    video.className = "tinyhd-video";
    video.addEventListener("seeked", () => this.onSeeked());
    video.addEventListener("ended", () => {
      if (this.shown < this.range[1]) this.show(this.range[1]);
      this.turn();
    });
    video.addEventListener("error", () => this.fallBack(video.error?.message ?? "the video does not play here"));
  }
  parts;
  meta;
  watcher;
  video = document.createElement("video");
  times = new Float64Array();
  shown = -1;
  playing = false;
  loop = false;
  range;
  speed = 1;
  wanted = -1;
  seeking = false;
  plays = false;
  // whether frames come from the video element, not as still images
  opening = null;
  media = null;
  buffer = null;
  buffered = /* @__PURE__ */ new Map();
  last = Promise.resolve();
  timer = 0;
  gone = false;
  async begin() {
    this.times = new Float64Array(await this.parts.bytes(["times", "", 0]));
  }
  // Open the video, once; throws while there is none yet.
  open() {
    this.opening ??= this.attach().catch((error) => {
      this.opening = null;
      throw error;
    });
    return this.opening;
  }
  // Whether frames come from the video itself, not as still images.
  get isVideo() {
    return this.plays;
  }
  setSpeed(speed) {
    this.speed = speed;
    this.video.playbackRate = speed;
  }
  seek(frame) {
    this.wanted = frame;
    void this.move();
  }
  play() {
    this.playing = true;
    const at = Math.max(this.wanted >= 0 ? this.wanted : this.shown, 0);
    const [start, stop] = this.range;
    const from = at >= stop || at < start ? start : at;
    if (!this.plays) {
      this.playStills(from);
      return;
    }
    this.need(this.parts.chunkOf(from)).then(() => {
      if (from !== this.shown) this.video.currentTime = middleOf(this.times, from, this.meta.duration);
      return this.playing ? this.video.play() : void 0;
    }).catch((error) => this.halt(error));
  }
  pause() {
    this.playing = false;
    window.clearTimeout(this.timer);
    this.video.pause();
    if (this.shown >= 0) this.wanted = this.shown;
  }
  // Load a chunk of the video into the buffer, unless it is there.
  need(chunk2) {
    if (!this.plays || chunk2 < 0 || chunk2 > this.lastChunk) return Promise.resolve();
    let coming = this.buffered.get(chunk2);
    if (!coming) {
      coming = this.parts.bytes(["video", "", chunk2]).then((part) => this.append(new Uint8Array(part), chunk2));
      this.buffered.set(chunk2, coming);
      coming.catch(() => this.buffered.delete(chunk2));
      this.forget(chunk2);
    }
    return coming;
  }
  dispose() {
    this.gone = true;
    this.pause();
    this.video.removeAttribute("src");
    this.video.load();
  }
  async attach() {
    const init = new Uint8Array(await this.parts.bytes(["video", "", -1]));
    const mime = mimeOf(init);
    if (!("MediaSource" in window) || !MediaSource.isTypeSupported(mime)) {
      this.watcher.trouble(`this browser does not play ${mime}: frames are shown one by one, without sound`);
      return;
    }
    if (this.gone) return;
    const media = this.media = new MediaSource();
    const opened = new Promise((resolve, reject) => {
      media.addEventListener("sourceopen", resolve, { once: true });
      this.video.addEventListener("error", () => reject(new Error(REFUSED)), { once: true });
    });
    this.video.src = URL.createObjectURL(media);
    await opened;
    this.buffer = media.addSourceBuffer(mime);
    media.duration = this.meta.duration;
    await this.append(init);
    this.plays = true;
    this.video.playbackRate = this.speed;
    this.watch();
    const frame = Math.max(this.wanted, this.shown, 0);
    this.wanted = frame;
    this.shown = -1;
    this.seeking = false;
    if (this.playing) {
      window.clearTimeout(this.timer);
      this.play();
    } else await this.move();
  }
  async move() {
    if (this.seeking || this.wanted < 0) return;
    const frame = this.wanted;
    if (!this.plays) {
      await this.still(frame);
      return;
    }
    if (frame === this.shown && !this.video.seeking) return;
    this.seeking = true;
    try {
      const chunk2 = this.parts.chunkOf(frame);
      const coming = this.need(chunk2);
      this.watcher.seeks(frame);
      await coming;
      if ((frame + HELD_BACK) % this.meta.chunk < HELD_BACK) await this.need(chunk2 + 1);
      this.video.currentTime = middleOf(this.times, frame, this.meta.duration);
    } catch (error) {
      this.seeking = false;
      this.watcher.trouble(error.message);
    }
  }
  onSeeked() {
    this.seeking = false;
    if (this.playing) return;
    window.setTimeout(() => {
      if (!this.playing && !this.seeking && this.shown !== this.wanted) this.show(frameAt(this.times, this.video.currentTime));
    }, LATE);
  }
  watch() {
    const { video } = this;
    if (!("requestVideoFrameCallback" in video)) {
      const look = () => {
        if (this.gone) return;
        const frame = frameAt(this.times, video.currentTime + SLACK);
        if (frame !== this.shown && !this.seeking) this.show(frame);
        requestAnimationFrame(look);
      };
      look();
      return;
    }
    video.requestVideoFrameCallback((_now, about) => {
      if (this.gone) return;
      this.show(frameAt(this.times, about.mediaTime + SLACK));
      this.watch();
    });
  }
  show(frame) {
    if (!this.plays) return;
    if (this.playing && frame > this.range[1] && frame !== this.wanted) {
      this.turn();
      return;
    }
    this.shown = frame;
    this.watcher.frame(frame, this.video);
    if (!this.playing) {
      if (this.wanted >= 0 && this.wanted !== frame && !this.seeking) void this.move();
      return;
    }
    this.wanted = frame;
    if (frame >= this.range[1]) this.turn();
  }
  // Handle the end of the range: stop, or begin again.
  turn() {
    if (!this.playing) return;
    if (!this.loop) {
      this.stop();
      this.seek(this.range[1]);
      return;
    }
    const { video } = this;
    const [start] = this.range;
    video.currentTime = middleOf(this.times, start, this.meta.duration);
    this.need(this.parts.chunkOf(start)).then(() => this.playing && video.paused ? video.play() : void 0).catch((error) => this.halt(error));
  }
  stop(trouble = "") {
    this.pause();
    this.watcher.ended();
    if (trouble) this.watcher.trouble(trouble);
  }
  // Playback failed. An AbortError only means that it was paused before it began.
  halt(error) {
    if (error.name !== "AbortError") this.stop(error.message);
  }
  fallBack(text) {
    if (!this.plays) return;
    this.plays = false;
    this.watcher.trouble(text);
  }
  async still(frame) {
    this.seeking = true;
    try {
      const coming = this.parts.keep(["still", "", frame]);
      this.watcher.seeks(frame);
      const image = await createImageBitmap(new Blob([await coming]));
      if (this.plays || this.gone) return;
      this.shown = frame;
      this.watcher.frame(frame, image);
    } catch (error) {
      this.watcher.trouble(error.message);
      return;
    } finally {
      this.seeking = false;
    }
    if (!this.playing && this.wanted !== frame) await this.move();
  }
  playStills(from) {
    const begun = performance.now();
    const next = async () => {
      if (!this.playing || this.plays || this.gone) return;
      const time = this.times[from] + (performance.now() - begun) / 1e3 * this.speed;
      const frame = Math.min(frameAt(this.times, time), this.range[1]);
      if (frame !== this.shown) await this.still(frame);
      if (frame < this.range[1]) this.timer = window.setTimeout(next, 10);
      else if (this.loop) this.playStills(this.range[0]);
      else this.stop();
    };
    void next();
  }
  // Append in turn: a source buffer handles one operation at a time.
  append(bytes, chunk2 = -1) {
    const work = async () => {
      const { buffer } = this;
      if (!buffer || this.gone) return;
      buffer.appendBuffer(bytes);
      await updated(buffer);
      if (chunk2 === this.lastChunk && this.media?.readyState === "open") this.media.endOfStream();
    };
    const turn = this.last.then(work);
    this.last = turn.catch(() => void 0);
    return turn;
  }
  get lastChunk() {
    return this.parts.chunkOf(this.meta.frames - 1);
  }
  forget(near) {
    if (this.buffered.size <= MOST_BUFFERED) return;
    const farthest = [...this.buffered.keys()].reduce((a, b) => Math.abs(a - near) > Math.abs(b - near) ? a : b);
    this.buffered.delete(farthest);
    const [start, end] = [farthest, farthest + 1].map((chunk2) => this.times[chunk2 * this.meta.chunk] ?? this.meta.duration);
    this.last = this.last.then(async () => {
      const { buffer } = this;
      if (!buffer || this.gone || this.buffered.has(farthest)) return;
      buffer.remove(start, end);
      await updated(buffer);
    });
  }
};

// src/frames.ts
var PATIENCE2 = 2e4;
var Frames = class {
  player;
  latest = null;
  came = () => void 0;
  last = Promise.resolve();
  constructor(parts, meta) {
    this.player = new Player(parts, meta, {
      frame: (frame, image) => {
        this.latest = { frame, image };
        this.came();
      },
      seeks: () => void 0,
      ended: () => void 0,
      trouble: () => void 0
    });
  }
  get times() {
    return this.player.times;
  }
  async begin() {
    await this.player.begin();
    await this.open();
  }
  // Use the video as soon as there is one; until then frames come as still images.
  open() {
    return this.player.open().catch(() => void 0);
  }
  at(frame) {
    const turn = this.last.then(() => this.sought(frame));
    this.last = turn.catch(() => void 0);
    return turn;
  }
  dispose() {
    this.player.dispose();
  }
  sought(frame) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`frame ${frame} does not come`)), PATIENCE2);
      this.came = () => {
        if (this.latest?.frame !== frame) return;
        clearTimeout(late);
        resolve(this.latest.image);
      };
      this.came();
      this.player.seek(frame);
    });
  }
};

// src/thumbs.ts
var WIDE = 96;
var TALL = 64;
var OF_A_KIND = 4;
var MOST_KEPT = 64;
var Thumbs = class {
  constructor(parts, meta, go) {
    this.parts = parts;
    this.meta = meta;
    this.go = go;
  }
  parts;
  meta;
  go;
  root = h("div", { class: "tinyhd-thumbs" });
  frames = null;
  kept = /* @__PURE__ */ new Map();
  turn = 0;
  show(strip, trace) {
    this.turn += 1;
    this.root.replaceChildren();
    if (!trace) return;
    const scale = Math.min(WIDE / this.meta.size[0], TALL / this.meta.size[1]);
    const [width, height] = this.meta.size.map((side) => Math.round(scale * side));
    const wanted = [];
    for (const [word, lowest] of [
      ["highest", false],
      ["lowest", true]
    ])
      for (const frame of extremeFrames(trace.values, lowest).slice(0, OF_A_KIND)) {
        const canvas = h("canvas", { width: `${width}`, height: `${height}`, "aria-hidden": "true" });
        const label = `${word}: ${short(trace.values[frame] ?? 0)} at ${frame}`;
        this.root.append(button(`${word} ${strip}: go to frame ${frame}`, () => this.go(frame), canvas, h("span", {}, label)));
        const known2 = this.kept.get(frame);
        if (known2) canvas.getContext("2d")?.drawImage(known2, 0, 0);
        else wanted.push([frame, canvas]);
      }
    if (wanted.length) void this.fill(wanted, this.turn).catch(() => void 0);
  }
  // Take frames from the video, which can be opened now.
  async open() {
    await this.frames?.open();
  }
  dispose() {
    this.turn += 1;
    this.frames?.dispose();
  }
  async fill(wanted, turn) {
    if (!this.frames) {
      this.frames = new Frames(this.parts, this.meta);
      await this.frames.begin();
    }
    for (const [frame, canvas] of wanted) {
      if (turn !== this.turn) return;
      canvas.getContext("2d")?.drawImage(await this.frames.at(frame), 0, 0, canvas.width, canvas.height);
      this.kept.set(frame, canvas);
      if (this.kept.size > MOST_KEPT) this.kept.delete([...this.kept.keys()][0]);
    }
  }
};

// src/timeline.ts
var AXIS = 30;
var ONE_LANE = 78;
var LANE = 58;
var DRAGGED = 4;
function isKnown(value) {
  return value !== null && !Number.isNaN(value);
}
function ranged(lane) {
  const known2 = lane.lines.flatMap(({ values }) => Array.from(values).filter(isKnown));
  const bound = (which) => known2.reduce((a, b) => which(a, b));
  return { ...lane, range: known2.length ? [bound(Math.min), bound(Math.max)] : null };
}
var Timeline = class {
  constructor(frames, asked) {
    this.frames = frames;
    this.asked = asked;
    this.window = [0, frames];
    this.range = [0, frames - 1];
    const about = { tabindex: "-1", role: "slider", "aria-label": "Timeline", "aria-valuemin": "0", "aria-valuemax": String(frames - 1), "aria-valuenow": "0" };
    this.canvas = h("canvas", about);
    this.root = h("div", { class: "tinyhd-timeline" }, this.canvas, this.tip);
    this.canvas.addEventListener("pointerdown", (event) => this.press(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("pointerup", (event) => this.release(event));
    this.canvas.addEventListener("pointerleave", () => this.tip.hidden = true);
    this.canvas.addEventListener("wheel", (event) => this.zoom(event), { passive: false });
    this.canvas.addEventListener("dblclick", () => {
      this.window = [0, this.frames];
      this.asked.choose(0, -1);
      this.draw();
    });
  }
  frames;
  asked;
  root;
  canvas;
  tip = h("div", { class: "tinyhd-tip", hidden: true });
  times = new Float64Array();
  lanes = [];
  frame = 0;
  notes = [];
  range = [0, 0];
  window;
  pressed = null;
  show(lanes) {
    this.lanes = lanes.map(ranged);
    this.draw();
  }
  update(frame, notes, range) {
    [this.frame, this.notes, this.range] = [frame, notes, range];
    const [from, to] = this.window;
    if (frame < from || frame >= to) this.window = this.bounded(frame - (to - from) / 4, to - from);
    this.canvas.setAttribute("aria-valuenow", String(frame));
    this.canvas.setAttribute("aria-valuetext", `frame ${frame}, ${clock(this.times[frame] ?? 0)}`);
    this.draw();
  }
  // The height of all lanes together, in pixels.
  get tall() {
    return this.lanes.length > 1 ? LANE * this.lanes.length : ONE_LANE;
  }
  draw() {
    const { canvas, tall } = this;
    const wide = this.root.clientWidth;
    if (!wide || !this.times.length) return;
    const density2 = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(wide * density2)) canvas.width = Math.round(wide * density2);
    if (canvas.height !== Math.round((tall + AXIS) * density2)) canvas.height = Math.round((tall + AXIS) * density2);
    canvas.style.height = `${tall + AXIS}px`;
    const context = canvas.getContext("2d");
    const style = getComputedStyle(this.root);
    const ink = style.color;
    context.setTransform(density2, 0, 0, density2, 0, 0);
    context.clearRect(0, 0, wide, tall + AXIS);
    context.font = `11px ${style.fontFamily}`;
    this.drawRange(context, ink);
    this.lanes.forEach((lane, n) => this.drawLane(context, ink, wide, lane, n * tall / this.lanes.length, tall / this.lanes.length));
    this.drawAxis(context, ink, wide);
    for (const note of this.notes) {
      const x2 = this.place(note.frame);
      context.fillStyle = "#e69f00";
      context.beginPath();
      context.moveTo(x2 - 5, 0);
      context.lineTo(x2 + 5, 0);
      context.lineTo(x2, 9);
      context.fill();
    }
    const x = this.place(this.frame);
    context.fillStyle = ink;
    context.fillRect(x - 1, 0, 2, tall + 6);
    context.beginPath();
    context.arc(x, tall, 5, 0, 2 * Math.PI);
    context.fill();
  }
  // The x of a frame's middle, in pixels.
  place(frame) {
    const [from, to] = this.window;
    return (frame + 0.5 - from) / (to - from) * this.root.clientWidth;
  }
  frameOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const [from, to] = this.window;
    const frame = Math.floor(from + (event.clientX - box.left) / box.width * (to - from));
    return Math.min(Math.max(frame, 0), this.frames - 1);
  }
  drawRange(context, ink) {
    const [start, stop] = this.range;
    if (start <= 0 && stop >= this.frames - 1) return;
    const [left, right] = [this.place(start - 0.5), this.place(stop + 0.5)];
    context.globalAlpha = 0.12;
    context.fillStyle = ink;
    context.fillRect(left, 0, right - left, this.tall);
    context.globalAlpha = 1;
    context.fillRect(left - 1, 0, 2, this.tall);
    context.fillRect(right - 1, 0, 2, this.tall);
  }
  drawLane(context, ink, wide, lane, top, tall) {
    const { lines: lines2, title, unit, range } = lane;
    const [low, high] = range ?? [0, 1];
    const bottom = top + tall - 3;
    const height = (value) => bottom - (value - low) / (high - low || 1) * (tall - 22);
    const [from, to] = this.window;
    const stride = Math.max(1, Math.floor((to - from) / (2 * wide)));
    context.lineWidth = 1.5;
    for (const { values, colour, dash } of lines2) {
      context.strokeStyle = COLOURS[colour % COLOURS.length];
      context.setLineDash(DASHES[dash % DASHES.length]);
      context.beginPath();
      let begun = false;
      for (let frame = Math.max(0, Math.floor(from) - 1); frame < Math.min(this.frames, to + 1); frame += stride) {
        const value = values[frame];
        if (!isKnown(value)) continue;
        if (begun) context.lineTo(this.place(frame), height(value));
        else context.moveTo(this.place(frame), height(value));
        begun = true;
      }
      context.stroke();
    }
    context.setLineDash([]);
    context.fillStyle = ink;
    context.textBaseline = "top";
    context.fillText(title, 8, top + 3);
    let x = context.measureText(title).width + 20;
    if (lines2.length > 1 || lines2[0]?.name)
      for (const { name, colour, dash } of lines2) {
        context.strokeStyle = COLOURS[colour % COLOURS.length];
        context.lineWidth = 2;
        context.setLineDash(DASHES[dash % DASHES.length]);
        context.beginPath();
        context.moveTo(x, top + 8);
        context.lineTo(x + 20, top + 8);
        context.stroke();
        context.setLineDash([]);
        context.fillText(name, x + 24, top + 3);
        x += context.measureText(name).width + 40;
      }
    const text = range ? `${short(low)} to ${short(high)} ${unit}` : "not known yet";
    const length = context.measureText(text).width;
    if (x + length < wide) context.fillText(text, wide - length - 4, top + 3);
    if (top > 0) {
      context.globalAlpha = 0.25;
      context.fillRect(0, top, wide, 1);
      context.globalAlpha = 1;
    }
  }
  drawAxis(context, ink, wide) {
    context.fillStyle = ink;
    context.globalAlpha = 0.5;
    const { tall } = this;
    context.fillRect(0, tall, wide, 1);
    context.globalAlpha = 1;
    context.textBaseline = "top";
    const [from, to] = this.window.map((frame) => Math.min(Math.max(Math.floor(frame), 0), this.frames - 1));
    const [begin, end] = [this.times[from], this.times[to]];
    const most = Math.max(2, wide / 90);
    const step = tickStep(Math.max(end - begin, 0.01), most);
    for (let time = Math.ceil(begin / step) * step; time <= end; time += step) {
      const x = this.place(frameAt(this.times, time + 1e-6));
      context.fillRect(x, tall, 1, 5);
      const text = clock(time).replace(/\.00(?= s|$)/, "");
      const left = Math.min(Math.max(x - context.measureText(text).width / 2, 2), wide - 60);
      context.fillText(text, left, tall + 6);
    }
    context.globalAlpha = 0.65;
    const stride = Math.max(1, tickStep(this.window[1] - this.window[0], most));
    for (let frame = Math.ceil(this.window[0] / stride) * stride; frame < this.window[1]; frame += stride) {
      const text = `${frame}`;
      const half = context.measureText(text).width / 2;
      const left = Math.max(this.place(frame) - half, 2);
      if (left + 2 * half < wide - 44) context.fillText(text, left, tall + 18);
    }
    const title = "frames";
    const room = context.measureText(title).width + 8;
    context.clearRect(wide - room, tall + 17, room, 13);
    context.fillText(title, wide - room + 6, tall + 18);
    context.globalAlpha = 1;
  }
  press(event) {
    const scrub = event.offsetY >= this.tall - 8;
    this.canvas.setPointerCapture(event.pointerId);
    this.pressed = { x: event.clientX, frame: this.frameOf(event), scrub, moved: false };
    this.asked.go(this.pressed.frame);
  }
  move(event) {
    const frame = this.frameOf(event);
    this.point(event, frame);
    const { pressed } = this;
    if (!pressed) return;
    if (Math.abs(event.clientX - pressed.x) > DRAGGED) pressed.moved = true;
    if (pressed.scrub) this.asked.go(frame);
    else if (pressed.moved) this.asked.choose(Math.min(frame, pressed.frame), Math.max(frame, pressed.frame));
  }
  release(event) {
    this.canvas.releasePointerCapture(event.pointerId);
    this.pressed = null;
  }
  point(event, frame) {
    const values = this.lanes.flatMap(
      ({ title, lines: lines2 }) => lines2.map(({ name, values: known2 }) => {
        const value = known2[frame];
        return `${[title, name].filter(Boolean).join(", ")}: ${isKnown(value) ? short(value) : "not known"}`;
      })
    );
    const note = this.notes.find((each) => each.frame === frame);
    const words = [`frame ${frame}, ${clock(this.times[frame] ?? 0)}`, ...values, ...note ? [`“${note.text}”`] : []];
    this.tip.textContent = words.join("\n");
    this.tip.hidden = false;
    const room = this.root.clientWidth - this.tip.offsetWidth;
    this.tip.style.left = `${Math.min(Math.max(event.offsetX + 12, 0), room)}px`;
  }
  zoom(event) {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
    event.preventDefault();
    const [from, to] = this.window;
    const box = this.canvas.getBoundingClientRect();
    const part = (event.clientX - box.left) / box.width;
    const length = Math.min(Math.max((to - from) * 1.2 ** Math.sign(event.deltaY || event.deltaX), 8), this.frames);
    this.window = this.bounded(from + part * (to - from - length), length);
    this.draw();
  }
  bounded(from, length) {
    const start = Math.min(Math.max(from, 0), Math.max(this.frames - length, 0));
    return [start, start + length];
  }
};

// src/over_time.ts
var LONG = 8;
var PAUSE = 300;
var OverTime = class {
  constructor(scene, isLive, isBusy, status, asked) {
    this.scene = scene;
    this.isLive = isLive;
    this.isBusy = isBusy;
    this.status = status;
    this.timeline = new Timeline(scene.meta.frames, asked);
    this.thumbs = new Thumbs(scene.parts, scene.meta, asked.go);
  }
  scene;
  isLive;
  isBusy;
  status;
  timeline;
  thumbs;
  now = null;
  traces = [];
  regions = [];
  ofSources = /* @__PURE__ */ new Map();
  gone = false;
  // Draw the traces that these settings choose, as soon as they are available.
  async show(now) {
    this.now = now;
    const { meta, parts } = this.scene;
    const several = now.view === "side-by-side" ? [now.source, now.other] : this.scene.sources(now);
    const wanted = now.strips.flatMap((strip) => (meta.shared.includes(strip) ? [""] : [...new Set(several)]).map((name) => ({ strip, name })));
    const found = await Promise.allSettled(wanted.map(({ strip, name }) => isOfMaps(strip) ? this.ofMaps(strip, name) : parts.trace(strip, name)));
    if (this.now !== now) return;
    this.traces = found.flatMap((each, n) => each.status === "fulfilled" ? [{ ...wanted[n], trace: each.value }] : []);
    const failed = found.find((each) => each.status === "rejected");
    if (failed && this.isLive) this.status.tell(failed.reason.message);
    this.draw();
    const [first] = this.traces;
    this.thumbs.show(first?.strip ?? "", first?.trace);
  }
  showRegions(found) {
    this.regions = found;
    this.draw();
  }
  dispose() {
    this.gone = true;
    this.thumbs.dispose();
  }
  // A trace of a source's maps; all of its traces are computed together, once.
  async ofMaps(strip, source) {
    const { parts, meta } = this.scene;
    const told = async (done, total) => {
      if (total > LONG) {
        this.status.progress(`maps of ${source} over time`, done, total);
        while (this.isBusy() && !this.gone) await new Promise((go) => setTimeout(go, PAUSE));
      }
      return !this.gone;
    };
    const coming = this.ofSources.get(source) ?? mapTraces(parts, meta, source, told);
    this.ofSources.set(source, coming);
    coming.catch(() => this.ofSources.delete(source));
    const traces = await coming;
    if (!traces) throw new Error("closed");
    return traces[strip];
  }
  draw() {
    const { now, scene } = this;
    if (!now) return;
    const lanes = now.strips.map((strip) => {
      const own = this.traces.filter((each) => each.strip === strip);
      const lines3 = own.map(({ name, trace }, n) => ({ name, values: trace.values, colour: n, dash: n }));
      return { title: strip, unit: own[0]?.trace.unit ?? "", lines: lines3 };
    });
    const shown = this.regions.filter(({ source }) => source === "people" || scene.sources(now).includes(source));
    const [regions, sources] = [shown.map(({ region }) => region), shown.map(({ source }) => source)].map((names) => [...new Set(names)]);
    const lines2 = shown.map(({ region, source, shares }) => ({
      name: sources.length > 1 ? `${region}, ${source}` : region,
      values: shares.map((share2) => 100 * share2),
      colour: regions.indexOf(region),
      dash: sources.indexOf(source)
    }));
    if (lines2.length) lanes.push({ title: "attention in", unit: "%", lines: lines2 });
    this.timeline.show(lanes);
  }
};

// src/attention.ts
var PEOPLE = "people";
async function attention(parts, meta, regions, told) {
  const chunks = Math.ceil(meta.frames / meta.chunk);
  const sources = [...meta.sources.filter((name) => !meta.gaze.includes(name)), ...meta.gaze.length ? [PEOPLE] : []];
  const found = regions.flatMap(
    (region) => sources.map((source) => ({
      region: region.name,
      source,
      shares: new Float32Array(meta.frames).fill(Number.NaN),
      area: 0,
      observers: /* @__PURE__ */ new Map()
    }))
  );
  for (let chunk2 = 0; chunk2 < chunks; chunk2++) {
    const frames = Math.min(meta.chunk, meta.frames - chunk2 * meta.chunk);
    for (const [n, source] of sources.entries()) {
      const maps = source === PEOPLE ? null : await parts.passing(source, chunk2);
      const points = source === PEOPLE ? await Promise.all(meta.gaze.map((name) => parts.needPoints(name, chunk2))) : [];
      regions.forEach((region, at) => {
        const each = found[at * sources.length + n];
        if (maps) ofMaps(region, maps, chunk2 * meta.chunk, frames, each);
        else for (const some of points) ofPeople(region, some, each);
      });
      if (!told(chunk2 * sources.length + n, chunks * sources.length)) return null;
    }
  }
  const size = [90, 160];
  for (const each of found) {
    const region = regions.find(({ name }) => name === each.region);
    const areas = region.keys.length === 1 ? [0] : Array.from({ length: 16 }, (_, n) => Math.round((meta.frames - 1) * n / 15));
    each.area = areas.reduce((sum, frame) => sum + area(coverage(placed(region, frame), ...size)), 0) / areas.length;
  }
  return found;
}
function ofMaps(region, maps, first, frames, found) {
  let covered = null;
  for (let n = 0; n < frames; n++) {
    const map = maps[n];
    if (!map) continue;
    if (!covered || region.keys.length > 1 || covered.length !== map.levels.length)
      covered = coverage(placed(region, first + n), map.rows, map.columns);
    found.shares[first + n] = share(map, covered);
  }
}
function ofPeople(region, points, found) {
  const counts = /* @__PURE__ */ new Map();
  for (let at = 0; at < points.length; at += 4) {
    const [frame, observer, x, y] = points.subarray(at, at + 4);
    const inside = isInside(placed(region, frame), [x, y]);
    const [before, all] = counts.get(frame) ?? [0, 0];
    counts.set(frame, [before + Number(inside), all + 1]);
    if (inside && !((found.observers.get(observer) ?? Number.POSITIVE_INFINITY) <= frame)) found.observers.set(observer, frame);
  }
  for (const [frame, [inside, all]] of counts) found.shares[frame] = inside / all;
}
function summary(each, times) {
  let [sum, known2, peak, peakFrame] = [0, 0, 0, -1];
  each.shares.forEach((value, frame) => {
    if (Number.isNaN(value)) return;
    sum += value;
    known2 += 1;
    if (value > peak || peakFrame < 0) [peak, peakFrame] = [value, frame];
  });
  const mean = known2 ? sum / known2 : Number.NaN;
  const firsts = [...each.observers].filter(([observer]) => observer >= 0).map(([, frame]) => times[frame]);
  firsts.sort((a, b) => a - b);
  const middle = firsts.length >> 1;
  const median = firsts.length % 2 ? firsts[middle] : (firsts[middle - 1] + firsts[middle]) / 2;
  const isKnown2 = each.source === PEOPLE && ![...each.observers.keys()].some((observer) => observer < 0);
  return {
    region: each.region,
    source: each.source,
    area: each.area,
    mean,
    lift: each.area > 0 ? mean / each.area : Number.NaN,
    peak: known2 ? peak : Number.NaN,
    peakFrame,
    looked: isKnown2 ? firsts.length : Number.NaN,
    first: isKnown2 && firsts.length ? median : Number.NaN
  };
}
var COLUMNS2 = ["region", "source", "area_percent", "share_percent", "times_its_area", "peak_percent", "peak_frame", "observers", "first_look_s"];
function tableCsv(rows) {
  const number = (value, digits) => Number.isFinite(value) ? value.toFixed(digits) : "";
  const lines2 = rows.map((row) => [
    row.region,
    row.source,
    number(100 * row.area, 2),
    number(100 * row.mean, 2),
    number(row.lift, 3),
    number(100 * row.peak, 2),
    row.peakFrame < 0 ? "" : `${row.peakFrame}`,
    number(row.looked, 0),
    number(row.first, 3)
  ]);
  return [COLUMNS2, ...lines2];
}
function sharesCsv(found, times) {
  const head = ["frame", "seconds", ...found.map(({ region, source }) => `${region}, ${source}`)];
  const cell = (value) => Number.isNaN(value) ? "" : value.toFixed(5);
  return [head, ...Array.from(times, (time, frame) => [`${frame}`, time.toFixed(4), ...found.map(({ shares }) => cell(shares[frame]))])];
}

// src/region_panel.ts
var PAUSE2 = 300;
var RegionPanel = class {
  // counts computations: only the latest is shown
  constructor(meta, parts, outliner, status, asked) {
    this.meta = meta;
    this.parts = parts;
    this.outliner = outliner;
    this.status = status;
    this.asked = asked;
    this.root.append(this.list, this.table);
  }
  meta;
  parts;
  outliner;
  status;
  asked;
  root = h("div", { class: "tinyhd-regions", hidden: true });
  list = h("ul", {});
  table = h("div", { class: "tinyhd-table" });
  listed = [];
  selected = -1;
  later;
  turn = 0;
  sync({ regions }) {
    if (regions !== this.listed) {
      this.turn += 1;
      clearTimeout(this.later);
      this.later = setTimeout(() => void this.compute(), PAUSE2);
    } else if (this.selected === this.outliner.selected) return;
    [this.listed, this.selected] = [regions, this.outliner.selected];
    this.root.hidden = !regions.length;
    this.list.replaceChildren(...regions.map((region, n) => this.line(region, n)));
  }
  dispose() {
    this.turn += 1;
    clearTimeout(this.later);
  }
  line(region, n) {
    const { outliner } = this;
    const name = h("input", { type: "text", value: region.name, "aria-label": `Name of ${region.name}` });
    name.addEventListener("change", () => outliner.rename(n, name.value.trim()));
    const moves = h("input", { type: "checkbox", "aria-label": `${region.name} moves` });
    moves.checked = outliner.moves(region);
    moves.addEventListener("change", () => outliner.setMoves(n, moves.checked));
    const keys2 = moves.checked ? region.keys.map(({ frame }) => button("Go to this key frame", () => this.asked.go(frame), `${frame}`)) : [];
    const isSelected = n === outliner.selected;
    const colour = h("i", { style: `background: ${COLOURS[n % COLOURS.length]}` });
    const select = button("Select, to move it or its corners (shift and arrows too)", () => outliner.select(isSelected ? -1 : n), colour, "select");
    select.setAttribute("aria-pressed", String(isSelected));
    const moving = labelled(moves, h("span", {}, "moves"));
    moving.title = "Key frames: place the region at some frames; it moves in straight lines between them";
    return h("li", {}, select, name, moving, ...keys2, tool("×", `Drop ${region.name}`, () => outliner.drop(n)));
  }
  async compute() {
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
      this.status.tell(error.message);
    } finally {
      if (turn === this.turn) this.status.progress(what, 1, 1);
    }
  }
  tabulate(found) {
    const times = this.asked.times();
    const rows = found.map((each) => summary(each, times));
    const percent = (value) => Number.isFinite(value) ? `${(100 * value).toFixed(1)} %` : "";
    const people = rows.some(({ looked }) => Number.isFinite(looked));
    const heads = ["region", "map", "area", "attention", "attention / area", "peak", ...people ? ["looked there", "median first look"] : []];
    const all = this.meta.observers.length;
    const lines2 = rows.map((row) => {
      const peak = row.peakFrame < 0 ? "" : button(`Go to frame ${row.peakFrame}`, () => this.asked.go(row.peakFrame), `${percent(row.peak)} at ${row.peakFrame}`);
      const looked = people ? [Number.isFinite(row.looked) ? `${row.looked} of ${all}` : "", Number.isFinite(row.first) ? `${row.first.toFixed(2)} s` : ""] : [];
      const cells = [row.region, row.source, percent(row.area), percent(row.mean), Number.isFinite(row.lift) ? row.lift.toFixed(2) : "", peak, ...looked];
      return h("tr", {}, ...cells.map((cell) => h("td", {}, cell)));
    });
    const head = h("tr", {}, ...heads.map((name) => h("th", { scope: "col" }, name)));
    const save = (word, name, content) => button("Save as a table", () => download(`${this.meta.name}_${name}.csv`, csv(content())), word);
    this.table.replaceChildren(
      h("table", {}, h("caption", {}, "Share of attention, mean over frames; people: share of their gaze points"), h("thead", {}, head), h("tbody", {}, ...lines2)),
      save("table as CSV", "regions", () => tableCsv(rows)),
      save("every frame as CSV", "regions_by_frame", () => sharesCsv(found, times))
    );
  }
};

// src/animation.ts
var MOST_SECONDS = 10;
var RATE = 12.5;
var WIDE2 = 480;
var QUALITY = 0.8;
function framesOf(times, duration, start, stop) {
  const frames = [];
  for (let frame = start; frame <= stop && times[frame] - times[start] < MOST_SECONDS; frame++)
    if (!frames.length || times[frame] - times[frames[frames.length - 1]] > 1 / RATE - 1e-3) frames.push(frame);
  const end = stop + 1 < times.length ? times[stop + 1] : duration;
  const until = Math.min(end, times[start] + MOST_SECONDS);
  return [frames, frames.map((frame, n) => 1e3 * ((n + 1 < frames.length ? times[frames[n + 1]] : until) - times[frame]))];
}
async function animation(scene, settings, told) {
  const { parts, meta } = scene;
  const easel = new Easel(scene, () => void 0);
  const pictures = new Frames(parts, meta);
  try {
    await pictures.begin();
    const [frames, milliseconds] = framesOf(pictures.times, meta.duration, Math.max(settings.start, 0), settings.stop < 0 ? meta.frames - 1 : settings.stop);
    const [columns, rows] = easel.cells(settings.view);
    const width = 2 * Math.round(Math.min(meta.size[0], WIDE2 / columns) / 2);
    const height = 2 * Math.round(width * meta.size[1] / meta.size[0] / 2);
    const files = [];
    for (const [n, frame] of frames.entries()) {
      if (!told(n, frames.length)) return null;
      await scene.fetch(settings, frame);
      const image = await pictures.at(frame);
      easel.draw(settings, frame, image, [width, height], false, outlinesOf(settings.regions, frame));
      const blob = await new Promise((resolve) => easel.flattened(settings.view).toBlob(resolve, "image/webp", QUALITY));
      if (blob?.type !== "image/webp") throw new Error("this browser cannot write WebP");
      files.push(new Uint8Array(await blob.arrayBuffer()));
    }
    told(frames.length, frames.length);
    return animated(files, milliseconds, columns * width, rows * height);
  } finally {
    pictures.dispose();
    easel.dispose();
  }
}

// src/saving.ts
var MAKING = "making the WebP";
var Saving = class {
  constructor(scene, host, status, now) {
    this.scene = scene;
    this.host = host;
    this.status = status;
    const webp = ["WebP", "Save the first ten seconds of the range as a picture that moves", () => void this.animation(now())];
    const kernels = [
      ["mp4", "Save the range as it is shown, with its sound", () => host.act("save_video")],
      ["JSON", "Save the view, to open it again with SaliencyViewer.from_state", () => host.act("save_state")],
      ["HTML", "Save a page that opens anywhere, without Python", () => host.act("save_html")]
    ];
    this.files = host.live ? [webp, ...kernels] : [webp];
  }
  scene;
  host;
  status;
  files;
  isStopped = false;
  // Save a canvas as the PNG of a frame.
  picture(frame, canvas) {
    canvas.toBlob((blob) => blob && download(`${this.scene.meta.name}_${frame}.png`, blob));
  }
  stop() {
    this.isStopped = true;
    this.host.act("cancel");
  }
  async animation(settings) {
    const { scene, status } = this;
    this.isStopped = false;
    try {
      const made = await animation(scene, settings, (done, total) => {
        status.progress(MAKING, done, total, true);
        return !this.isStopped;
      });
      const name = `${scene.meta.name}_${settings.view}.webp`;
      if (made) download(name, made);
      status.tell(made ? `saved ${name}, ${(made.size / 2 ** 20).toFixed(1)} MiB` : `${MAKING}: cancelled`);
    } catch (error) {
      status.tell(error.message);
    } finally {
      status.end();
    }
  }
};

// src/scene.ts
var DIVERGING = "PuOr_r";
function pointsOf(chunks, first, last) {
  const found = [];
  for (const points of chunks)
    for (let at = 0; points && at < points.length; at += 4)
      if (points[at] >= first && points[at] <= last) found.push([points[at], points[at + 1], points[at + 2], points[at + 3]]);
  return found;
}
var Scene = class {
  constructor(parts, meta) {
    this.parts = parts;
    this.meta = meta;
  }
  parts;
  meta;
  colours = /* @__PURE__ */ new Map();
  bounds = /* @__PURE__ */ new Map();
  // The map sources that the picture shows.
  sources({ view, source, other }) {
    if (view === "grid") return this.meta.sources;
    return this.meta.comparing.includes(view) ? [source, other] : [source];
  }
  table(name) {
    return this.colours.get(name);
  }
  get diverging() {
    return this.colours.get(DIVERGING);
  }
  // The values that are black and white; null for each frame's own extremes.
  scale(source, normalise) {
    const known2 = this.bounds.get(source);
    if (normalise === "frame" || !known2) return null;
    return normalise === "raw" ? [0, known2[1]] : known2;
  }
  isHere(settings, frame) {
    return this.colours.has(settings.colormap) && this.sources(settings).every((name) => this.parts.map(name, frame) !== void 0);
  }
  async fetch(settings, frame) {
    const { normalise, colormap } = settings;
    const chunk2 = this.parts.chunkOf(frame);
    const wanted = this.sources(settings).map((name) => this.parts.needMaps(name, chunk2));
    for (const name of [colormap, DIVERGING]) if (!this.colours.has(name)) wanted.push(this.needColours(name));
    if (normalise !== "frame") {
      for (const name of this.sources(settings)) if (!this.bounds.has(name)) wanted.push(this.needBounds(name));
    }
    if (settings.points) wanted.push(...this.gazeParts(settings, frame).map((part) => this.parts.needPoints(...part)));
    await Promise.all(wanted);
  }
  async fetchAhead(settings, frame) {
    const next = this.parts.chunkOf(frame) + 1;
    if (next * this.meta.chunk >= this.meta.frames) return;
    await Promise.allSettled([
      ...this.sources(settings).map((name) => this.parts.needMaps(name, next)),
      ...settings.points ? this.meta.gaze.map((name) => this.parts.needPoints(name, next)) : []
    ]);
  }
  // The gaze points of a frame, and of the `span` frames before it, over which scanpaths are drawn.
  gaze(settings, frame) {
    const from = this.firstOfTrail(settings, frame);
    const parts = this.gazeParts(settings, frame).map((part) => this.parts.points(...part));
    const isMeant = ([, observer]) => settings.observer < 0 || observer === settings.observer;
    return { points: pointsOf(parts, from, frame).filter(isMeant), span: frame - from };
  }
  gazeParts(settings, frame) {
    const [first, last] = [this.firstOfTrail(settings, frame), frame].map((each) => this.parts.chunkOf(each));
    const chunks = Array.from({ length: last - first + 1 }, (_, n) => first + n);
    return this.meta.gaze.flatMap((name) => chunks.map((chunk2) => [name, chunk2]));
  }
  firstOfTrail({ trail }, frame) {
    return Math.max(0, frame - Math.round(trail * this.meta.frames / this.meta.duration));
  }
  async needColours(name) {
    this.colours.set(name, new Uint8Array(await this.parts.bytes(["colours", name, 0])));
  }
  async needBounds(name) {
    const [low, high] = new Float64Array(await this.parts.bytes(["bounds", name, 0]));
    this.bounds.set(name, [low, high]);
  }
};

// src/stage.ts
var MOST_ZOOMED = 8;
var NEAR = 9;
var Stage = class {
  constructor(pointing, ...layers) {
    this.pointing = pointing;
    this.sheet = h("div", { class: "tinyhd-sheet" }, ...layers);
    this.root = h("div", { class: "tinyhd-stage" }, this.sheet);
    this.listen();
  }
  pointing;
  root;
  sheet;
  view = { scale: 1, x: 0.5, y: 0.5 };
  isOurs = false;
  // whether the drag pans the picture
  cells = [1, 1];
  get scale() {
    return this.view.scale;
  }
  // Set how many columns and rows of frames there are, and the aspect ratio (width to height) of one.
  setCells(cells, shape) {
    this.cells = cells;
    this.root.style.setProperty("--shape", String(shape * cells[0] / cells[1]));
    this.root.style.setProperty("--columns", String(cells[0]));
  }
  zoom(factor, [x, y] = [this.view.x, this.view.y]) {
    const before = this.view.scale;
    const scale = Math.min(Math.max(before * factor, 1), MOST_ZOOMED);
    const follow = (middle, place) => place + (middle - place) * before / scale;
    this.view = { scale, x: follow(this.view.x, x), y: follow(this.view.y, y) };
    this.place();
    this.pointing.zoomed();
  }
  listen() {
    const { root, pointing } = this;
    root.addEventListener("pointerdown", (event) => {
      root.setPointerCapture(event.pointerId);
      this.isOurs = !pointing.press(this.placeOf(event), this.near);
    });
    root.addEventListener("pointermove", (event) => {
      if (event.buttons && this.isOurs) this.pan(event.movementX, event.movementY);
      else if (event.buttons) pointing.drag(this.placeOf(event));
      pointing.over(this.placeOf(event));
    });
    root.addEventListener("pointerup", (event) => pointing.release(this.placeOf(event), this.near));
    root.addEventListener("pointerleave", () => pointing.over(null));
    root.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        this.zoom(1.15 ** -Math.sign(event.deltaY), this.onSheet(event));
      },
      { passive: false }
    );
  }
  get near() {
    return NEAR * this.cells[0] / this.sheet.getBoundingClientRect().width;
  }
  // Where the pointer is on the picture, in fractions of its width and height.
  onSheet(event) {
    const box = this.sheet.getBoundingClientRect();
    const within = (value) => Math.min(Math.max(value, 0), 1);
    return [within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)];
  }
  // Where the pointer is on the frame under it, in fractions of that frame's width and height.
  placeOf(event) {
    const [x, y] = this.onSheet(event);
    const within = (value, count) => value >= 1 ? 1 : value * count % 1;
    return [within(x, this.cells[0]), within(y, this.cells[1])];
  }
  pan(x, y) {
    const { view, root } = this;
    view.x -= x / (view.scale * root.clientWidth);
    view.y -= y / (view.scale * root.clientHeight);
    this.place();
  }
  place() {
    const { scale } = this.view;
    const bounded2 = (middle) => Math.min(Math.max(middle, 0.5 / scale), 1 - 0.5 / scale);
    [this.view.x, this.view.y] = [bounded2(this.view.x), bounded2(this.view.y)];
    const shift = (middle) => `${100 * (0.5 - middle) * scale}%`;
    this.sheet.style.transform = `translate(${shift(this.view.x)}, ${shift(this.view.y)}) scale(${scale})`;
  }
};

// src/status.ts
var Status = class {
  root;
  line = h("div", { class: "tinyhd-status", role: "status", "aria-live": "polite" });
  bar = h("progress", { hidden: true, "aria-label": "Progress" });
  cancel;
  constructor(cancelled) {
    this.cancel = button("Stop this; nothing is kept of it", cancelled, "cancel");
    this.cancel.hidden = true;
    this.root = h("div", { class: "tinyhd-told" }, this.line, this.bar, this.cancel);
  }
  tell(text) {
    if (this.line.textContent !== text) this.line.textContent = text;
  }
  // Show the progress of an operation; exports can be cancelled.
  progress(what, done, total, isExport = false) {
    this.bar.hidden = done >= total;
    this.cancel.hidden = this.bar.hidden || !isExport;
    [this.bar.max, this.bar.value] = [total, done];
    if (done < total) this.tell(`${what}: ${Math.floor(100 * done / total)} %`);
    else this.withdraw(what);
  }
  // Clear the line if it begins with this text, which no longer holds.
  withdraw(text) {
    if (this.line.textContent?.startsWith(text)) this.tell("");
  }
  // Hide the bar: the operation has ended, successfully or not.
  end() {
    this.bar.hidden = this.cancel.hidden = true;
  }
};

// src/viewer.ts
var SELDOM = 80;
var TOGETHER = 1e3;
var REST = 1e3;
var APART = 0.15;
var SILENT = "the kernel does not answer (busy, or shut down); what is loaded still plays";
var SETTLED = 300;
var EXPORT = "writing the video";
var Viewer = class {
  constructor(el, host) {
    this.host = host;
    const { hands, status } = this;
    const meta = this.meta = host.meta;
    this.now = host.settings();
    this.keys = keys(meta, hands);
    this.parts = new Parts(host);
    this.scene = new Scene(this.parts, meta);
    this.easel = new Easel(this.scene, (text) => status.tell(text));
    this.legend = new Legend(this.scene);
    this.player = new Player(this.parts, meta, {
      seeks: (frame) => void this.scene.fetch(this.now, frame).catch(() => void 0),
      // fetch its maps meanwhile
      frame: (index, image) => this.onFrame(index, image),
      ended: () => this.set({ playing: false }),
      // others of the group may have more to show
      trouble: (text) => status.tell(text)
    });
    const { go, change: change2 } = hands;
    const times = () => this.player.times;
    this.outliner = new Outliner({
      regions: () => this.now.regions,
      frame: () => Math.max(this.frame, 0),
      change: (regions) => change2({ regions }),
      redraw: () => this.soon(),
      tell: (text) => status.tell(text)
    });
    this.overTime = new OverTime(this.scene, host.live, () => this.now.playing || performance.now() - this.actedAt < REST, status, { go, choose: (start, stop) => change2({ start, stop }) });
    const computed2 = this.overTime.showRegions.bind(this.overTime);
    this.regions = new RegionPanel(meta, this.parts, this.outliner, status, { go, times, computed: computed2 });
    this.notes = new Notes(meta, { go, change: change2, times, leave: () => this.root.focus() });
    this.saving = new Saving(this.scene, host, status, () => this.now);
    this.stage = new Stage(this.pointing(), this.player.video, ...this.easel.canvases);
    this.easel.canvases[0].setAttribute("role", "img");
    this.panels = { tools: toolbar(meta, hands), transport: transport(meta, hands), drawer: drawer(meta, change2, this.saving.files) };
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
      this.help
    );
    el.append(this.root);
    window.addEventListener("keydown", this.shareKeys, true);
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.root.addEventListener("fullscreenchange", () => this.onFullScreen());
    this.watching = new ResizeObserver(() => this.resized());
    this.watching.observe(this.root);
    this.leave = join(this);
    host.observe(() => this.onSettings());
    host.listen((what) => this.onTold(what));
    void this.begin();
  }
  host;
  meta;
  now;
  frame = -1;
  // on the screen
  chunk = -1;
  // the latest whose successor was requested
  image = null;
  gone = false;
  scheduled = false;
  toldAt = 0;
  leadAt = 0;
  actedAt = -REST;
  parts;
  scene;
  player;
  easel;
  legend;
  outliner;
  overTime;
  regions;
  notes;
  saving;
  stage;
  status = new Status(() => this.saving.stop());
  panels;
  agreement = h("div", { class: "tinyhd-table" });
  help;
  root;
  hands = this.whatCanBeDone();
  keys;
  watching;
  leave;
  dispose() {
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
  group() {
    return this.now.group;
  }
  // Follow another viewer of the group.
  follow({ time, playing, speed }) {
    const { times } = this.player;
    if (!times.length) return;
    const change2 = {};
    const frame = frameAt(times, time + 1e-6);
    const goesOn = playing && frame < this.player.range[1];
    const apart = Math.abs((times[Math.max(this.frame, 0)] ?? 0) - time);
    if (!goesOn || !this.now.playing || apart > APART) change2.frame = frame;
    if (goesOn !== this.now.playing) change2.playing = goesOn;
    if (speed !== this.now.speed) change2.speed = speed;
    if (Object.keys(change2).length) this.set(change2);
  }
  change(change2) {
    this.set(change2);
    if ("frame" in change2 || "playing" in change2 || "speed" in change2) this.lead();
  }
  set(change2) {
    const before = this.now;
    this.actedAt = performance.now();
    this.now = { ...before, ...change2 };
    const playing = this.now.playing && before.playing && Object.keys(change2).every((name) => name === "frame");
    this.host.set(change2, !playing);
    this.apply(before);
  }
  lead() {
    const { frame, playing, speed } = this.now;
    tell(this, { time: this.player.times[frame] ?? 0, playing, speed });
    this.leadAt = performance.now();
  }
  async begin() {
    try {
      await this.player.begin();
      this.overTime.timeline.times = this.player.times;
      this.player.seek(this.now.frame);
      this.apply(null);
      await this.openVideo();
    } catch (error) {
      this.status.tell(error.message);
    }
  }
  async openVideo() {
    try {
      await this.player.open();
      await this.overTime.thumbs.open();
    } catch (error) {
      this.status.tell(error.message);
    }
  }
  onTold({ said, progress, ready, silent }) {
    if (silent) this.status.tell(SILENT);
    else this.status.withdraw(SILENT);
    if (said !== void 0) this.status.tell(said);
    if (progress) this.status.progress(...progress, progress[0] === EXPORT);
    if (ready) void this.openVideo();
  }
  // Take over settings that were changed elsewhere.
  onSettings() {
    const before = this.now;
    const next = this.host.settings();
    if (JSON.stringify(before) === JSON.stringify(next)) return;
    if (before.playing && next.playing && Math.abs(next.frame - this.frame) < 3 * this.meta.chunk) next.frame = before.frame;
    for (const name of ["regions", "notes"])
      if (JSON.stringify(before[name]) === JSON.stringify(next[name])) Object.assign(next, { [name]: before[name] });
    this.now = next;
    this.apply(before);
  }
  apply(before) {
    const { now, player, panels } = this;
    player.loop = now.loop;
    player.range = [Math.max(now.start, 0), now.stop < 0 ? this.meta.frames - 1 : now.stop];
    if (!before || now.speed !== before.speed) player.setSpeed(now.speed);
    if (now.playing !== player.playing) {
      if (now.playing) player.play();
      else player.pause();
    }
    if (now.frame !== this.frame && (!now.playing || now.frame !== before?.frame)) player.seek(now.frame);
    const traced = ["strips", "source", "other", "view"];
    if (!before || traced.some((name) => String(now[name]) !== String(before[name]))) void this.overTime.show(now);
    for (const panel of [...Object.values(panels), this.notes, this.regions]) panel.sync(now);
    this.stage.root.dataset.view = now.view;
    this.stage.setCells(this.easel.cells(now.view), this.meta.size[0] / this.meta.size[1]);
    this.agreement.hidden = now.view !== "grid";
    if (now.frame === this.frame || now.playing) void this.fetch().then(() => this.soon());
  }
  // Paint before the browser's next refresh, once for all changes until then.
  soon() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.regions.sync(this.now);
      this.paint();
    });
  }
  onFrame(frame, image) {
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
  onAll(frame) {
    if (frame !== this.frame) return;
    this.paint();
    const chunk2 = this.parts.chunkOf(frame);
    if (chunk2 === this.chunk && this.now.playing) return;
    this.chunk = chunk2;
    void this.scene.fetchAhead(this.now, frame);
    void this.player.need(chunk2 + 1).catch(() => void 0);
  }
  async fetch() {
    if (this.frame < 0) return;
    try {
      await this.scene.fetch(this.now, this.frame);
    } catch (error) {
      this.status.tell(error.message);
    }
  }
  paint() {
    const { now, frame, scene, image } = this;
    if (!image || this.gone || !scene.table(now.colormap) || !scene.diverging) return;
    const quick = now.playing && this.player.isVideo && this.easel.kind === "WebGL" && now.view !== "grid";
    this.easel.draw(now, frame, image, this.size(quick), quick, this.outliner.outlines());
    this.root.dataset.frame = String(frame);
    if (quick && performance.now() - this.toldAt < SELDOM) return;
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
  size(quick) {
    const finest = quick && this.now.view !== "contours" ? 2 : 1;
    const [width, height] = this.meta.size.map((side) => side / finest);
    const [columns] = this.easel.cells(this.now.view);
    const seen = this.stage.root.clientWidth * (window.devicePixelRatio || 1) * this.stage.scale / finest / columns;
    const across = Math.min(width, Math.max(320 / finest / columns, seen));
    return [Math.round(across), Math.round(height * across / width)];
  }
  whatCanBeDone() {
    const change2 = (wanted) => this.change(wanted);
    const go = (frame) => {
      if (Number.isFinite(frame)) change2({ frame: Math.min(Math.max(Math.round(frame), 0), this.meta.frames - 1) });
    };
    return {
      change: change2,
      go,
      view: (view) => {
        if (this.meta.sources.length < 2 && this.meta.comparing.includes(view)) this.status.tell(`${view} ${LONE}`);
        else change2({ view });
      },
      step: (frames) => go(this.now.frame + frames),
      // keys may repeat faster than frames arrive
      play: () => change2({ playing: !this.now.playing }),
      loop: () => change2({ loop: !this.now.loop }),
      fade: (steps) => change2({ alpha: Math.min(Math.max(Math.round(10 * this.now.alpha + steps) / 10, 0), 1) }),
      zoom: (factor) => this.stage.zoom(factor || 1 / this.stage.scale),
      note: () => this.notes.add(Math.max(this.frame, 0)),
      region: () => this.outliner.begin(),
      save: () => this.save(),
      settings: () => this.panels.drawer.root.hidden = !this.panels.drawer.root.hidden,
      full: () => void this.toggleFullScreen(),
      help: () => this.help.hidden = !this.help.hidden,
      close: () => this.help.hidden = this.panels.drawer.root.hidden = true
    };
  }
  pointing() {
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
      zoomed: () => this.soon()
    };
  }
  save() {
    if (this.host.live) {
      this.host.act("save_frame");
      return;
    }
    this.change({ playing: false });
    this.paint();
    this.saving.picture(this.frame, this.easel.flattened(this.now.view));
  }
  async toggleFullScreen() {
    try {
      await (document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen());
    } catch {
      this.status.tell("no full screen: the browser, or the page that this is in, refuses it");
    }
  }
  // Scroll back to the viewer: a notebook may scroll during full screen, and again when its layout is restored.
  onFullScreen() {
    if (document.fullscreenElement) return;
    for (const wait of [0, SETTLED]) setTimeout(() => this.stage.root.scrollIntoView({ block: "nearest" }), wait);
  }
  resized() {
    this.soon();
    this.overTime.timeline.draw();
  }
  // JupyterLab ignores keys on an element with this attribute; otherwise "1" would make a heading and "x" cut the cell.
  // The key that saves the notebook is left to it.
  shareKeys = (event) => {
    this.root.toggleAttribute("data-lm-suppress-shortcuts", !isSave(event));
  };
  onKey(event) {
    const field = event.target instanceof HTMLInputElement && ["text", "number"].includes(event.target.type) ? event.target : null;
    if (field && event.key === "Enter") field.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || field) return;
    if (event.target instanceof HTMLSelectElement && event.key.startsWith("Arrow")) return;
    const act = this.outliner.key(event.key, event.shiftKey) ? () => void 0 : this.keys.get(event.key);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }
};

// src/index.ts
function render({ model, el }) {
  const viewer = new Viewer(el, new KernelHost(model));
  Object.assign(el, { viewer });
  return () => viewer.dispose();
}
function mount(el, pages) {
  for (const page of pages) {
    const section = h("section", {}, h("h1", {}, page.meta.name));
    el.append(section);
    new Viewer(section, new PageHost(page));
  }
}
var index_default = { render };
export {
  Canvas,
  Painter,
  index_default as default,
  mount,
  scaled
};
