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
          const bounded = Math.min(Math.max(apart, -128), 127);
          return [bounded + 128, picture.alpha * Math.abs(bounded) / 128];
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

// src/host.ts
var SLOW = /* @__PURE__ */ new Set(["trace", "bounds"]);
var SLOWLY = 1e3;
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
  settings() {
    return Object.fromEntries(this.meta.settings.map((name) => [name, this.model.get(name)]));
  }
  set(change, eager) {
    for (const [name, value] of Object.entries(change)) this.model.set(name, value);
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
    for (const name of this.meta.settings) this.model.on(`change:${name}`, changed);
  }
  // Parts that are asked for together travel in one message.
  ask(keys) {
    if (!this.queue.length) queueMicrotask(() => this.flush());
    return Promise.all(
      keys.map((key) => new Promise((resolve, reject) => this.queue.push({ key, resolve, reject })))
    );
  }
  act(name) {
    this.model.send({ act: name });
  }
  listen(told) {
    this.listeners.push(told);
  }
  flush() {
    const entries = this.queue.splice(0);
    for (const slow of [false, true]) this.post(entries.filter(({ key }) => SLOW.has(key[0]) === slow));
  }
  post(entries) {
    if (!entries.length) return;
    const id = ++this.asked;
    this.waiting.set(id, entries);
    this.model.send({ ask: entries.map((entry) => entry.key), id });
  }
  receive(content, buffers) {
    const waiting = this.waiting.get(content.id);
    if (!waiting) {
      for (const told of this.listeners) told(content);
      return;
    }
    this.waiting.delete(content.id);
    const errors = content.errors;
    waiting.forEach((entry, n) => {
      const { buffer, byteOffset, byteLength } = buffers[n];
      if (errors[n]) entry.reject(new Error(errors[n]));
      else entry.resolve(buffer.slice(byteOffset, byteOffset + byteLength));
    });
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
  set(change) {
    Object.assign(this.now, change);
  }
  observe() {
  }
  async ask(keys) {
    return keys.map((key) => {
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
  // The texture of a map, as large as the frame or, where it must be quick, as it is.
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
  // The texture of that name, bound aside.
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
function button(name, label, pressed) {
  return h("button", { type: "button", title: label, "aria-label": label, click: pressed }, icon(name));
}
function choice(label, title, options, chosen) {
  const select = h("select", { title, "aria-label": label }, ...options.map((each) => h("option", { value: each }, each)));
  select.addEventListener("change", () => chosen(select.value));
  return { root: h("label", { class: "tinyhd-choice" }, h("span", {}, label), select), select };
}
function fraction(label, title, most, moved) {
  const input = h("input", { type: "range", min: "0", max: String(most), step: "0.05", title, "aria-label": label });
  const output = h("output", {});
  input.addEventListener("input", () => moved(Number(input.value)));
  return { root: h("label", { class: "tinyhd-choice" }, h("span", {}, label), input, output), input, output };
}
function toggle(label, title, changed) {
  const input = h("input", { type: "checkbox", title, "aria-label": label });
  input.addEventListener("change", () => changed(input.checked));
  return { root: h("label", { class: "tinyhd-choice" }, input, h("span", {}, label)), input };
}

// src/marks.ts
function observerColour(observer) {
  return `hsl(${observer * 137.5 % 360} 85% 65%)`;
}
function pointsOf(chunks, first, last) {
  const found = [];
  for (const points of chunks)
    for (let at = 0; points && at < points.length; at += 4)
      if (points[at] >= first && points[at] <= last) found.push([points[at], points[at + 1], points[at + 2], points[at + 3]]);
  return found;
}
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
  clear(width, height) {
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    else if (this.isMarked) this.context.clearRect(0, 0, width, height);
    this.isMarked = false;
  }
  // Rings where people look now, and their ways there.
  gaze(points, frame, span, width) {
    const { context, canvas } = this;
    this.isMarked = true;
    const radius = Math.max(3, width / 160);
    const before = /* @__PURE__ */ new Map();
    context.lineCap = "round";
    for (const [at, observer, x, y] of points) {
      const place = [x * width, y * canvas.height];
      const age = span > 0 ? (frame - at) / span : 0;
      const previous = before.get(observer);
      if (previous && observer >= 0) {
        context.globalAlpha = 1 - 0.8 * age;
        context.lineWidth = 2;
        context.strokeStyle = observerColour(observer);
        context.beginPath();
        context.moveTo(previous[0], previous[1]);
        context.lineTo(...place);
        context.stroke();
      }
      before.set(observer, [...place, at]);
      if (at !== frame) continue;
      context.globalAlpha = 1;
      this.ring(place, radius, observer < 0 ? "white" : observerColour(observer));
    }
    context.globalAlpha = 1;
  }
  cross(x, y, width) {
    this.isMarked = true;
    const size = Math.max(6, width / 80);
    const place = [x * width, y * this.canvas.height];
    for (const [colour, thick] of [
      ["black", 3],
      ["white", 1]
    ]) {
      this.context.strokeStyle = colour;
      this.context.lineWidth = thick;
      this.context.beginPath();
      this.context.moveTo(place[0] - size, place[1]);
      this.context.lineTo(place[0] + size, place[1]);
      this.context.moveTo(place[0], place[1] - size);
      this.context.lineTo(place[0], place[1] + size);
      this.context.stroke();
    }
  }
  sign(text, x, y, width) {
    const { context } = this;
    this.isMarked = true;
    context.font = `bold ${Math.max(18, width / 26)}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 4;
    context.strokeStyle = "black";
    context.fillStyle = "white";
    context.strokeText(text, x * width, y * this.canvas.height);
    context.fillText(text, x * width, y * this.canvas.height);
  }
  ring([x, y], radius, colour) {
    const { context } = this;
    for (const [each, style] of [
      [radius + 1.5, "black"],
      [radius, colour]
    ]) {
      context.strokeStyle = style;
      context.lineWidth = 1.5;
      context.beginPath();
      context.arc(x, y, each, 0, 2 * Math.PI);
      context.stroke();
    }
  }
};

// src/parts.ts
var MOST_KEPT = 24;
var HEAD = 6;
var ABOUT = 16;
async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
function undifferenced(packed, rows, columns, frames) {
  const size = rows * columns;
  const levels = new Uint8Array(packed.length);
  for (let frame = 0; frame < frames; frame++) {
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
async function unpackMaps(part) {
  const view = new DataView(part);
  const [rows, columns, frames] = [0, 2, 4].map((at) => view.getUint16(at, true));
  const packed = await inflate(new Uint8Array(part, HEAD + ABOUT * frames));
  const levels = undifferenced(packed, rows, columns, frames);
  return Array.from({ length: frames }, (_, n) => {
    const [low, high, x, y] = [0, 4, 8, 12].map((at) => view.getFloat32(HEAD + ABOUT * n + at, true));
    if (Number.isNaN(low)) return null;
    return { rows, columns, levels: levels.subarray(n * rows * columns, (n + 1) * rows * columns), low, high, peak: [x, y] };
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
  maps = new Kept(MOST_KEPT);
  gaze = new Kept(MOST_KEPT);
  traces = new Kept(100);
  small = new Kept(200);
  meta;
  chunkOf(frame) {
    return Math.floor(frame / this.meta.chunk);
  }
  // A frame's map: null if it has none, undefined if it has not come yet.
  map(name, frame) {
    return this.maps.peek(`${name}|${this.chunkOf(frame)}`)?.[frame % this.meta.chunk];
  }
  needMaps(name, chunk) {
    return this.maps.get(`${name}|${chunk}`, async () => unpackMaps(await this.bytes(["maps", name, chunk])));
  }
  // Gaze points of a chunk, if they have come.
  points(name, chunk) {
    return this.gaze.peek(`${name}|${chunk}`);
  }
  needPoints(name, chunk) {
    return this.gaze.get(`${name}|${chunk}`, async () => new Float32Array(await this.bytes(["points", name, chunk])));
  }
  trace(strip, source) {
    const name = `${strip}@${source}`;
    return this.traces.get(name, async () => JSON.parse(new TextDecoder().decode(await this.bytes(["trace", name, 0]))));
  }
  bytes(key) {
    return this.host.ask([key]).then(([part]) => part);
  }
  // Small parts that are asked for again and again.
  keep(key) {
    return this.small.get(key.join("|"), () => this.bytes(key));
  }
};

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

// src/player.ts
var MOST_BUFFERED = 40;
var LATE = 150;
var SLACK = 1e-3;
var HELD_BACK = 8;
var MPEG_4 = 64;
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
  // whether the video element is what is seen
  media = new MediaSource();
  buffer = null;
  buffered = /* @__PURE__ */ new Map();
  last = Promise.resolve();
  timer = 0;
  gone = false;
  async begin() {
    this.times = new Float64Array(await this.parts.bytes(["times", "", 0]));
  }
  // Open the video; throws while there is none yet.
  async open() {
    if (this.plays || this.gone) return;
    const init = new Uint8Array(await this.parts.bytes(["video", "", -1]));
    const mime = mimeOf(init);
    if (!("MediaSource" in window) || !MediaSource.isTypeSupported(mime)) {
      this.watcher.trouble(`this browser does not play ${mime}: frames are shown one by one, without sound`);
      return;
    }
    const opened = new Promise((resolve) => this.media.addEventListener("sourceopen", resolve, { once: true }));
    this.video.src = URL.createObjectURL(this.media);
    await opened;
    this.buffer = this.media.addSourceBuffer(mime);
    this.media.duration = this.meta.duration;
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
  // Whether the video itself is what is seen, and not pictures of its frames.
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
    }).catch((error) => {
      if (error.name !== "AbortError") this.stop(error.message);
    });
  }
  pause() {
    this.playing = false;
    window.clearTimeout(this.timer);
    this.video.pause();
    if (this.shown >= 0) this.wanted = this.shown;
  }
  // Have a chunk of the video in the buffer.
  need(chunk) {
    if (!this.plays || chunk < 0 || chunk > this.parts.chunkOf(this.meta.frames - 1)) return Promise.resolve();
    let coming = this.buffered.get(chunk);
    if (!coming) {
      coming = this.parts.bytes(["video", "", chunk]).then((part) => this.append(new Uint8Array(part), chunk));
      this.buffered.set(chunk, coming);
      coming.catch(() => this.buffered.delete(chunk));
      this.forget(chunk);
    }
    return coming;
  }
  dispose() {
    this.gone = true;
    this.pause();
    this.video.removeAttribute("src");
    this.video.load();
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
      const chunk = this.parts.chunkOf(frame);
      await this.need(chunk);
      if ((frame + HELD_BACK) % this.meta.chunk < HELD_BACK) await this.need(chunk + 1);
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
    this.shown = frame;
    this.watcher.frame(frame, this.video);
    if (!this.playing) {
      if (this.wanted >= 0 && this.wanted !== frame && !this.seeking) void this.move();
      return;
    }
    this.wanted = frame;
    void this.need(this.parts.chunkOf(frame) + 1).catch(() => void 0);
    if (frame >= this.range[1]) this.turn();
  }
  // At the end of the range.
  turn() {
    if (!this.playing) return;
    if (!this.loop) {
      this.stop();
      return;
    }
    this.video.currentTime = middleOf(this.times, this.range[0], this.meta.duration);
    if (this.video.paused) void this.video.play().catch(() => void 0);
  }
  stop(trouble = "") {
    this.pause();
    this.watcher.playing(false);
    if (trouble) this.watcher.trouble(trouble);
  }
  fallBack(text) {
    if (!this.plays) return;
    this.plays = false;
    this.watcher.trouble(text);
  }
  async still(frame) {
    this.seeking = true;
    try {
      const image = await createImageBitmap(new Blob([await this.parts.keep(["still", "", frame])]));
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
  // Appended one after the other: a source buffer takes no two at once.
  append(bytes, chunk = -1) {
    const work = async () => {
      const { buffer } = this;
      if (!buffer || this.gone) return;
      const done = new Promise((resolve) => buffer.addEventListener("updateend", resolve, { once: true }));
      buffer.appendBuffer(bytes);
      await done;
      const whole = chunk === this.parts.chunkOf(this.meta.frames - 1);
      if (whole && this.media.readyState === "open") this.media.endOfStream();
    };
    const turn = this.last.then(work);
    this.last = turn.catch(() => void 0);
    return turn;
  }
  forget(near) {
    if (this.buffered.size <= MOST_BUFFERED) return;
    const farthest = [...this.buffered.keys()].reduce((a, b) => Math.abs(a - near) > Math.abs(b - near) ? a : b);
    this.buffered.delete(farthest);
    const [start, end] = [farthest, farthest + 1].map((chunk) => this.times[chunk * this.meta.chunk] ?? this.meta.duration);
    this.last = this.last.then(async () => {
      const { buffer } = this;
      if (!buffer || this.gone || this.buffered.has(farthest)) return;
      const done = new Promise((resolve) => buffer.addEventListener("updateend", resolve, { once: true }));
      buffer.remove(start, end);
      await done;
    });
  }
};

// src/timeline.ts
var AXIS = 30;
var TALL = 78;
var DRAGGED = 4;
var COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#7f7f7f"];
var DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
var Timeline = class {
  constructor(frames, asked) {
    this.frames = frames;
    this.asked = asked;
    this.window = [0, frames];
    this.range = [0, frames - 1];
    this.root.className = "tinyhd-timeline";
    this.tip.className = "tinyhd-tip";
    this.tip.hidden = true;
    this.canvas.tabIndex = -1;
    this.canvas.setAttribute("role", "slider");
    this.canvas.setAttribute("aria-label", "Timeline");
    this.canvas.setAttribute("aria-valuemin", "0");
    this.canvas.setAttribute("aria-valuemax", String(frames - 1));
    this.root.append(this.canvas, this.tip);
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
  canvas = document.createElement("canvas");
  tip = document.createElement("div");
  root = document.createElement("div");
  times = new Float64Array();
  lines = [];
  frame = 0;
  notes = [];
  range = [0, 0];
  window;
  pressed = null;
  show(lines) {
    this.lines = lines;
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
  draw() {
    const { canvas } = this;
    const wide = this.root.clientWidth;
    if (!wide || !this.times.length) return;
    const density = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(wide * density)) canvas.width = Math.round(wide * density);
    if (canvas.height !== Math.round((TALL + AXIS) * density)) canvas.height = Math.round((TALL + AXIS) * density);
    const context = canvas.getContext("2d");
    const style = getComputedStyle(this.root);
    const ink = style.color;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, wide, TALL + AXIS);
    context.font = `11px ${style.fontFamily}`;
    this.drawRange(context, ink);
    this.drawLines(context, ink, wide);
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
    context.fillRect(x - 1, 0, 2, TALL + 6);
    context.beginPath();
    context.arc(x, TALL, 5, 0, 2 * Math.PI);
    context.fill();
  }
  // The middle of a frame, in pixels.
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
    context.fillRect(left, 0, right - left, TALL);
    context.globalAlpha = 1;
    context.fillRect(left - 1, 0, 2, TALL);
    context.fillRect(right - 1, 0, 2, TALL);
  }
  drawLines(context, ink, wide) {
    const known2 = this.lines.flatMap(({ trace }) => trace.values.filter((value) => value !== null));
    if (!known2.length) return;
    const [low, high] = [known2.reduce((a, b) => Math.min(a, b)), known2.reduce((a, b) => Math.max(a, b))];
    const top = 18;
    const height = (value) => TALL - 3 - (value - low) / (high - low || 1) * (TALL - top - 4);
    const [from, to] = this.window;
    const stride = Math.max(1, Math.floor((to - from) / (2 * wide)));
    this.lines.forEach(({ trace }, n) => {
      context.strokeStyle = COLOURS[n % COLOURS.length];
      context.lineWidth = 1.5;
      context.setLineDash(DASHES[n % DASHES.length]);
      context.beginPath();
      let begun = false;
      for (let frame = Math.max(0, Math.floor(from) - 1); frame < Math.min(this.frames, to + 1); frame += stride) {
        const value = trace.values[frame];
        if (value === null) continue;
        if (begun) context.lineTo(this.place(frame), height(value));
        else context.moveTo(this.place(frame), height(value));
        begun = true;
      }
      context.stroke();
    });
    context.setLineDash([]);
    let x = 4;
    context.textBaseline = "top";
    this.lines.forEach(({ name }, n) => {
      context.fillStyle = context.strokeStyle = COLOURS[n % COLOURS.length];
      context.lineWidth = 2;
      context.setLineDash(DASHES[n % DASHES.length]);
      context.beginPath();
      context.moveTo(x, 8);
      context.lineTo(x + 20, 8);
      context.stroke();
      context.setLineDash([]);
      context.fillStyle = ink;
      context.fillText(name, x + 24, 3);
      x += context.measureText(name).width + 40;
    });
    const { unit } = this.lines[0].trace;
    const text = `${short(low)} to ${short(high)} ${unit}`;
    const length = context.measureText(text).width;
    if (x + length < wide) context.fillText(text, wide - length - 4, 3);
  }
  drawAxis(context, ink, wide) {
    context.fillStyle = ink;
    context.globalAlpha = 0.5;
    context.fillRect(0, TALL, wide, 1);
    context.globalAlpha = 1;
    context.textBaseline = "top";
    const [from, to] = this.window.map((frame) => Math.min(Math.max(Math.floor(frame), 0), this.frames - 1));
    const [begin, end] = [this.times[from], this.times[to]];
    const most = Math.max(2, wide / 90);
    const step = tickStep(Math.max(end - begin, 0.01), most);
    for (let time = Math.ceil(begin / step) * step; time <= end; time += step) {
      const x = this.place(frameAt(this.times, time + 1e-6));
      context.fillRect(x, TALL, 1, 5);
      const text = clock(time).replace(/\.00(?= s|$)/, "");
      const left = Math.min(Math.max(x - context.measureText(text).width / 2, 2), wide - 60);
      context.fillText(text, left, TALL + 6);
    }
    context.globalAlpha = 0.65;
    const stride = Math.max(1, tickStep(this.window[1] - this.window[0], most));
    for (let frame = Math.ceil(this.window[0] / stride) * stride; frame < this.window[1]; frame += stride) {
      const text = `${frame}`;
      const half = context.measureText(text).width / 2;
      const left = Math.max(this.place(frame) - half, 2);
      if (left + 2 * half < wide - 44) context.fillText(text, left, TALL + 18);
    }
    const title = "frames";
    const room = context.measureText(title).width + 8;
    context.clearRect(wide - room, TALL + 17, room, 13);
    context.fillText(title, wide - room + 6, TALL + 18);
    context.globalAlpha = 1;
  }
  press(event) {
    const scrub = event.offsetY >= TALL - 8;
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
    const values = this.lines.map(({ name, trace }) => {
      const value = trace.values[frame];
      return `${name}: ${value === null ? "not known" : short(value)}`;
    });
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

// src/viewer.ts
var FAR = 16;
var MOST_ZOOMED = 8;
var SELDOM = 80;
var KEYS = [
  ["space", "play, pause"],
  ["← →", "a frame back, on"],
  ["↓ ↑", "16 frames back, on"],
  ["Home End", "the first frame, the last"],
  ["[ ]", "opacity"],
  ["l", "loop"],
  ["n", "note at this frame"],
  ["+ - 0", "zoom in, out, not at all"],
  ["f", "full screen"],
  ["s", "save the frame as a PNG"],
  ["?", "show or hide this"]
];
var Viewer = class {
  constructor(el, host) {
    this.host = host;
    this.meta = host.meta;
    this.now = host.settings();
    this.parts = new Parts(host);
    this.draws = this.drawing();
    this.marks = new Marks(document.createElement("canvas"));
    this.timeline = new Timeline(this.meta.frames, {
      go: (frame) => this.go(frame),
      choose: (start, stop) => this.change({ start, stop })
    });
    this.player = new Player(this.parts, this.meta, {
      frame: (index, image) => this.onFrame(index, image),
      playing: (playing) => this.change({ playing }),
      trouble: (text) => this.tell(text)
    });
    this.playButton = button("play", "Play (space)", () => this.change({ playing: !this.now.playing }));
    this.loopButton = button("loop", "Begin again at the end (l)", () => this.change({ loop: !this.now.loop }));
    this.jump = h("input", {
      type: "number",
      min: "0",
      max: String(this.meta.frames - 1),
      "aria-label": "Go to frame",
      title: "Go to frame",
      change: () => this.go(Number(this.jump.value))
    });
    this.draws.canvas.setAttribute("role", "img");
    this.sheet = h("div", { class: "tinyhd-sheet" }, this.player.video, this.draws.canvas, this.marks.canvas);
    this.stage = h("div", { class: "tinyhd-stage" }, this.sheet);
    this.root = h(
      "div",
      { class: "tinyhd-viewer", tabindex: "0", role: "group", "aria-label": "Video with its saliency map" },
      this.toolbar(),
      this.stage,
      h("div", { class: "tinyhd-under" }, this.caption, this.bar),
      this.reading,
      this.transport(),
      this.timeline.root,
      this.thumbs,
      this.notes,
      this.drawer,
      this.help,
      h("div", { class: "tinyhd-told" }, this.status, this.progress)
    );
    this.root.dataset.lmSuppressShortcuts = "true";
    this.fillDrawer();
    this.fillHelp();
    el.append(this.root);
    this.listen();
    this.watching = new ResizeObserver(() => this.resized());
    this.watching.observe(this.root);
    host.observe(() => this.follow());
    host.listen((what) => {
      if (what.said !== void 0) this.tell(what.said);
      if (what.progress) this.tellProgress(...what.progress);
      if (what.ready) void this.openVideo();
    });
    void this.begin();
  }
  host;
  player;
  parts;
  meta;
  now;
  frame = -1;
  // on the screen
  image = null;
  draws;
  marks;
  timeline;
  colours = /* @__PURE__ */ new Map();
  bounds = /* @__PURE__ */ new Map();
  lines = [];
  zoomed = { scale: 1, x: 0.5, y: 0.5 };
  pointer = null;
  told = "";
  gone = false;
  scheduled = false;
  noted = [];
  // those that are listed
  toldAt = 0;
  watching;
  root;
  stage;
  sheet;
  caption = h("div", { class: "tinyhd-caption" });
  reading = h("div", { class: "tinyhd-reading" });
  status = h("div", { class: "tinyhd-status", role: "status", "aria-live": "polite" });
  bar = h("div", { class: "tinyhd-bar", "aria-hidden": "true" });
  thumbs = h("div", { class: "tinyhd-thumbs" });
  notes = h("ul", { class: "tinyhd-notes" });
  progress = h("progress", { hidden: true });
  drawer = h("div", { class: "tinyhd-drawer", hidden: true });
  help = h("div", { class: "tinyhd-help", hidden: true });
  views = [];
  playButton;
  loopButton;
  jump;
  controls = {};
  dispose() {
    this.gone = true;
    this.player.dispose();
    this.draws.dispose();
    this.watching.disconnect();
  }
  // What is on the picture now, as it is drawn.
  get canvas() {
    return this.draws.canvas;
  }
  change(change) {
    const before = this.now;
    this.now = { ...before, ...change };
    const playing = this.now.playing && before.playing && Object.keys(change).every((name) => name === "frame");
    this.host.set(change, !playing);
    this.apply(before);
  }
  go(frame) {
    if (Number.isFinite(frame)) this.change({ frame: Math.min(Math.max(Math.round(frame), 0), this.meta.frames - 1) });
  }
  async begin() {
    try {
      await this.player.begin();
      this.timeline.times = this.player.times;
      this.player.seek(this.now.frame);
      this.apply(null);
      await this.openVideo();
    } catch (error) {
      this.tell(error.message);
    }
  }
  async openVideo() {
    try {
      await this.player.open();
    } catch (error) {
      if (this.host.live) this.tell(error.message);
    }
  }
  drawing() {
    try {
      return new Painter(document.createElement("canvas"));
    } catch {
      this.tell("no WebGL in this browser: drawn on the processor, slower");
      return new Canvas(document.createElement("canvas"));
    }
  }
  // Settings that came from elsewhere.
  follow() {
    const before = this.now;
    const next = this.host.settings();
    if (JSON.stringify(before) === JSON.stringify(next)) return;
    if (before.playing && next.playing && Math.abs(next.frame - this.frame) < 3 * this.meta.chunk) next.frame = before.frame;
    this.now = next;
    this.apply(before);
  }
  apply(before) {
    const { now, player } = this;
    player.loop = now.loop;
    player.range = [Math.max(now.start, 0), now.stop < 0 ? this.meta.frames - 1 : now.stop];
    if (!before || now.speed !== before.speed) player.setSpeed(now.speed);
    if (now.playing !== player.playing) {
      if (now.playing) player.play();
      else player.pause();
    }
    if (now.frame !== this.frame && (!now.playing || now.frame !== before?.frame)) player.seek(now.frame);
    if (!before || ["strip", "source", "other", "view"].some((name) => now[name] !== before[name]))
      void this.showTraces();
    this.sync();
    if (now.frame === this.frame || now.playing) void this.fetch().then(() => this.soon());
  }
  // Paint before the browser shows the next picture, once for all that changed until then.
  soon() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.paint();
    });
  }
  onFrame(frame, image) {
    this.image = image;
    this.frame = frame;
    if (this.now.playing && frame !== this.now.frame) {
      this.now = { ...this.now, frame };
      this.host.set({ frame }, false);
    }
    if (this.isHere(frame)) this.paint();
    else void this.fetch().then(() => this.frame === frame && this.soon());
    if (frame % this.meta.chunk === 0 || !this.now.playing) void this.fetchAhead();
  }
  // Map sources that are on the picture.
  get sources() {
    return this.isComparing ? [this.now.source, this.now.other] : [this.now.source];
  }
  get isComparing() {
    return this.meta.comparing.includes(this.now.view);
  }
  isHere(frame) {
    return this.colours.has(this.now.colormap) && this.sources.every((name) => this.parts.map(name, frame) !== void 0);
  }
  async fetch() {
    if (this.frame < 0) return;
    const chunk = this.parts.chunkOf(this.frame);
    const { normalise, colormap, points } = this.now;
    const wanted = this.sources.map((name) => this.parts.needMaps(name, chunk));
    for (const name of [colormap, "PuOr_r"]) if (!this.colours.has(name)) wanted.push(this.needColours(name));
    if (normalise !== "frame") {
      for (const name of this.sources) if (!this.bounds.has(name)) wanted.push(this.needBounds(name));
    }
    if (points) {
      for (const name of this.meta.gaze)
        for (const each of [chunk - 1, chunk]) if (each >= 0) wanted.push(this.parts.needPoints(name, each));
    }
    try {
      await Promise.all(wanted);
    } catch (error) {
      this.tell(error.message);
    }
  }
  async fetchAhead() {
    const next = this.parts.chunkOf(this.frame) + 1;
    if (next * this.meta.chunk >= this.meta.frames) return;
    await Promise.allSettled([
      ...this.sources.map((name) => this.parts.needMaps(name, next)),
      ...this.now.points ? this.meta.gaze.map((name) => this.parts.needPoints(name, next)) : [],
      this.player.need(next)
    ]);
  }
  async needColours(name) {
    this.colours.set(name, new Uint8Array(await this.parts.bytes(["colours", name, 0])));
  }
  async needBounds(name) {
    const [low, high] = new Float64Array(await this.parts.bytes(["bounds", name, 0]));
    this.bounds.set(name, [low, high]);
  }
  // What is black and what is white; null for each frame's own extremes.
  scale(name) {
    const known2 = this.bounds.get(name);
    if (this.now.normalise === "frame" || !known2) return null;
    return this.now.normalise === "raw" ? [0, known2[1]] : known2;
  }
  paint(quick = this.now.playing && this.player.isVideo && this.draws.kind === "WebGL") {
    const colours = this.colours.get(this.now.colormap);
    const diverging = this.colours.get("PuOr_r");
    if (!this.image || !colours || !diverging || this.gone) return;
    const { now, frame } = this;
    const first = this.parts.map(now.source, frame);
    const second = this.isComparing ? this.parts.map(now.other, frame) : null;
    const [width, height] = this.size(quick);
    this.draws.draw({
      image: this.image,
      width,
      height,
      view: now.view,
      first: scaled(first, this.scale(now.source)),
      second: scaled(second, this.scale(now.other)),
      alpha: now.alpha,
      floor: now.floor,
      border: now.border,
      quick,
      colours,
      diverging
    });
    this.mark(first ?? null, second ?? null, this.size(false)[0]);
    this.describe(first ?? null);
    if (quick && performance.now() - this.toldAt < SELDOM) return;
    this.toldAt = performance.now();
    this.showScale(first ?? null, colours);
    this.read();
    this.timeline.update(frame, now.notes, this.player.range);
    if (document.activeElement !== this.jump) this.jump.value = String(frame);
  }
  fullSize() {
    const [width, height] = this.size(false);
    return [this.now.view === "side-by-side" ? 2 * width : width, height];
  }
  mark(first, second, width) {
    const { now, marks, frame } = this;
    marks.clear(...this.fullSize());
    if (now.points) {
      const chunk = this.parts.chunkOf(frame);
      const span = Math.round(now.trail * this.meta.frames / this.meta.duration);
      const chunks = this.meta.gaze.flatMap((name) => [this.parts.points(name, chunk - 1), this.parts.points(name, chunk)]);
      marks.gaze(pointsOf(chunks, frame - span, frame), frame, span, width);
    }
    if (now.peak && first && first.high > first.low) marks.cross(...first.peak, width);
    if (now.view === "difference" && first && second)
      for (const { sign, x, y } of extremes(first, second)) marks.sign(sign, x, y, width);
  }
  // The size that the picture is drawn at: no finer than the screen shows it, unless it is looked at closely; half as
  // fine where only what is smooth is laid over the video that plays.
  size(quick) {
    const finest = quick && this.now.view !== "contours" ? 2 : 1;
    const [width, height] = this.meta.size.map((side) => side / finest);
    const seen = this.stage.clientWidth * (window.devicePixelRatio || 1) * this.zoomed.scale / finest;
    const across = Math.min(width, Math.max(320 / finest, this.now.view === "side-by-side" ? seen / 2 : seen));
    return [Math.round(across), Math.round(height * across / width)];
  }
  describe(first) {
    const { now, frame } = this;
    const what = {
      wipe: `left ${now.source}, right ${now.other}`,
      difference: `${now.source} more (orange, +) or less (purple, -) than ${now.other}`
    };
    const missing = first ? "" : "; no map of this frame";
    const time = clock(this.player.times[frame] ?? 0);
    const caption = `frame ${frame}, ${time}; ${now.view}: ${what[now.view] ?? now.source}${missing}`;
    this.caption.textContent = caption;
    this.draws.canvas.setAttribute("aria-label", `${caption}; ${now.normalise}: ${this.meta.scales[now.normalise]}`);
  }
  showScale(first, colours) {
    const { now } = this;
    const [low, high] = this.scale(now.source) ?? [first?.low ?? 0, first?.high ?? 1];
    const table = now.view === "difference" ? this.colours.get("PuOr_r") : colours;
    const ticks = now.view === "difference" ? ["less", "equal", "more"] : [low, (low + high) / 2, high].map((each) => short(each));
    const stops = Array.from({ length: 17 }, (_, n) => Math.min(16 * n, 255)).map(
      (at) => `rgb(${[0, 1, 2].map((each) => table?.[3 * at + each]).join(" ")})`
    );
    this.bar.style.setProperty("--ramp", `linear-gradient(to right, ${stops.join(", ")})`);
    this.bar.title = this.meta.scales[now.normalise];
    this.bar.replaceChildren(...ticks.map((tick) => h("span", {}, tick)));
  }
  // Say what the maps hold where the pointer is.
  read() {
    if (!this.pointer) {
      this.reading.textContent = "point at the picture to read the map";
      return;
    }
    const [x, y] = this.pointer;
    const [width, height] = this.meta.size;
    const places = `x ${Math.min(Math.floor(x * width), width - 1)}, y ${Math.min(Math.floor(y * height), height - 1)}`;
    const values = this.sources.map((name) => {
      const map = this.parts.map(name, this.frame);
      if (!map) return `${name}: no map`;
      const level = map.levels[Math.min(Math.floor(y * map.rows), map.rows - 1) * map.columns + Math.min(Math.floor(x * map.columns), map.columns - 1)];
      const value = map.low + level / 255 * (map.high - map.low);
      const below = map.levels.reduce((count, each) => count + Number(each <= level), 0);
      const name_ = this.sources.length > 1 ? `${name} ` : "";
      return `${name_}${value.toPrecision(4)}, percentile ${(100 * below / map.levels.length).toFixed(1)}`;
    });
    this.reading.textContent = `${places}: ${values.join("; ")} of the frame`;
  }
  async showTraces() {
    const { strip, source, other } = this.now;
    const several = this.isComparing || this.now.view === "side-by-side" ? [.../* @__PURE__ */ new Set([source, other])] : [source];
    const names = this.meta.shared.includes(strip) ? [""] : several;
    const found = [];
    for (const name of names) {
      try {
        found.push({ name: name ? `${strip}, ${name}` : strip, trace: await this.parts.trace(strip, name) });
      } catch (error) {
        if (this.host.live) this.tell(error.message);
      }
      if (this.now.strip !== strip || this.now.source !== source) return;
    }
    this.lines = found;
    this.timeline.show(this.lines);
    this.showThumbs();
  }
  showThumbs() {
    const trace = this.lines[0]?.trace;
    this.thumbs.replaceChildren();
    if (!trace) return;
    const apart = [
      ["highest", trace.highest.slice(0, 4)],
      ["lowest", trace.lowest.slice(0, 4)]
    ];
    for (const [word, frames] of apart)
      for (const frame of frames) {
        const value = trace.values[frame];
        const image = h("img", { alt: "", width: "96" });
        const label = `${word}: ${value === null ? "" : short(value)} at ${frame}`;
        this.thumbs.append(
          h("button", { type: "button", title: `Go to frame ${frame}`, click: () => this.go(frame) }, image, h("span", {}, label))
        );
        void this.parts.keep(["thumb", "", frame]).then(
          (bytes) => image.src = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })),
          () => image.remove()
        );
        image.onload = () => URL.revokeObjectURL(image.src);
      }
  }
  toolbar() {
    const views = h("div", { class: "tinyhd-views", role: "group", "aria-label": "View" });
    this.meta.views.forEach((view, n) => {
      const comparing = this.meta.comparing.includes(view);
      const lone = comparing && this.meta.sources.length < 2;
      const title = lone ? "needs a second map: maps={name: ..., name: ...}" : `${view} (key ${n + 1})`;
      const each = h("button", { type: "button", title, disabled: lone, click: () => this.change({ view }) }, view);
      this.views.push(each);
      views.append(each);
    });
    const source = choice("map", "Which map is shown", this.meta.sources, (value) => this.change({ source: value }));
    const other = choice(
      "against",
      "Which map wipe and difference hold it against",
      this.meta.sources,
      (value) => this.change({ other: value })
    );
    this.controls.source = (now) => source.select.value = now.source;
    this.controls.other = (now) => {
      other.select.value = now.other;
      other.root.hidden = this.meta.sources.length < 2;
    };
    return h(
      "div",
      { class: "tinyhd-toolbar" },
      views,
      source.root,
      other.root,
      h("span", { class: "tinyhd-space" }),
      button("note", "Note at this frame (n)", () => this.note()),
      button("save", "Save the frame as a PNG (s)", () => this.save()),
      button("settings", "Settings", () => this.drawer.hidden = !this.drawer.hidden),
      button("full", "Full screen (f)", () => this.full()),
      button("help", "Keys (?)", () => this.help.hidden = !this.help.hidden)
    );
  }
  transport() {
    const speed = choice(
      "speed",
      "Times the video's own speed",
      this.meta.speeds.map(String),
      (value) => this.change({ speed: Number(value) })
    );
    this.controls.speed = (now) => speed.select.value = String(now.speed);
    const step = (by) => () => this.go(this.frame + by);
    return h(
      "div",
      { class: "tinyhd-transport" },
      button("far_back", "16 frames back (↓)", step(-FAR)),
      button("back", "A frame back (←)", step(-1)),
      this.playButton,
      button("on", "A frame on (→)", step(1)),
      button("far_on", "16 frames on (↑)", step(FAR)),
      this.jump,
      h("span", { class: "tinyhd-of" }, `of ${this.meta.frames}`),
      speed.root,
      this.loopButton,
      h("span", { class: "tinyhd-range" })
    );
  }
  fillDrawer() {
    const { meta } = this;
    const alpha = fraction("opacity", "Opacity of what is most salient ([ and ])", 1, (value) => this.change({ alpha: value }));
    const floor = fraction("floor", "Below this part of white nothing is laid over", 0.95, (value) => this.change({ floor: value }));
    const scale = choice("scale", "What is black and white", Object.keys(meta.scales), (value) => this.change({ normalise: value }));
    const colours = choice("colours", "Colour map", meta.colormaps, (value) => this.change({ colormap: value }));
    const strip = choice("over time", "What the timeline shows", meta.strips, (value) => this.change({ strip: value }));
    const points = toggle("gaze points", "Ring every place where somebody looked", (on) => this.change({ points: on }));
    const trail = choice(
      "trail",
      "How long a gaze's way stays, in seconds",
      ["0", "0.5", "1", "2"],
      (value) => this.change({ trail: Number(value), points: true })
    );
    const peak = toggle("peak", "Mark the most salient pixel with a cross", (on) => this.change({ peak: on }));
    Object.assign(this.controls, {
      alpha: (now) => [alpha.input.value, alpha.output.value] = [String(now.alpha), now.alpha.toFixed(2)],
      floor: (now) => [floor.input.value, floor.output.value] = [String(now.floor), now.floor.toFixed(2)],
      normalise: (now) => scale.select.value = now.normalise,
      colormap: (now) => colours.select.value = now.colormap,
      strip: (now) => strip.select.value = now.strip,
      points: (now) => points.input.checked = now.points,
      trail: (now) => trail.select.value = String(now.trail),
      peak: (now) => peak.input.checked = now.peak
    });
    points.root.hidden = trail.root.hidden = !meta.gaze.length;
    this.drawer.append(alpha.root, floor.root, scale.root, colours.root, strip.root, points.root, trail.root, peak.root);
    if (!this.host.live) return;
    const files = [
      ["mp4", "Save the range as it is shown", "save_video"],
      ["JSON", "Save the view, to open it again with SaliencyViewer.from_state", "save_state"],
      ["HTML", "Save a page that opens anywhere, without Python", "save_html"]
    ];
    for (const [word, title, name] of files)
      this.drawer.append(h("button", { type: "button", title, click: () => this.host.act(name) }, icon("save"), ` ${word}`));
  }
  fillHelp() {
    const { views } = this.meta;
    const rows = [...KEYS, [`1 ... ${views.length}`, views.join(", ")]].map(([key, what]) => h("tr", {}, h("td", {}, h("kbd", {}, key)), h("td", {}, what)));
    this.help.append(h("table", {}, h("caption", {}, "Keys, while the viewer has the focus"), ...rows));
    const more = "Drag on the timeline to choose a range, twice click to let it go; shift and wheel zoom in time, control and wheel in the picture.";
    this.help.append(h("p", {}, more));
  }
  sync() {
    const { now } = this;
    for (const control of Object.values(this.controls)) control(now);
    this.views.forEach((each, n) => each.setAttribute("aria-pressed", String(this.meta.views[n] === now.view)));
    this.playButton.replaceChildren(icon(now.playing ? "pause" : "play"));
    this.playButton.setAttribute("aria-label", now.playing ? "Pause (space)" : "Play (space)");
    this.loopButton.setAttribute("aria-pressed", String(now.loop));
    const range = this.root.querySelector(".tinyhd-range");
    if (range) range.textContent = now.stop < 0 ? "" : `frames ${now.start} to ${now.stop}`;
    if (this.noted !== now.notes) this.listNotes();
    this.stage.dataset.view = now.view;
    this.stage.style.setProperty("--shape", String(this.meta.size[0] * (now.view === "side-by-side" ? 2 : 1) / this.meta.size[1]));
  }
  listNotes() {
    const { now } = this;
    this.noted = now.notes;
    this.notes.replaceChildren(
      ...now.notes.map(
        (note, n) => h(
          "li",
          {},
          h("button", { type: "button", title: "Go there", click: () => this.go(note.frame) }, `${note.frame}`),
          ` ${note.text} `,
          h("button", { type: "button", "aria-label": `Drop the note at ${note.frame}`, title: "Drop this note", click: () => this.change({ notes: now.notes.filter((_, at) => at !== n) }) }, "×")
        )
      )
    );
  }
  note() {
    const field = h("input", { type: "text", placeholder: "what is seen here", "aria-label": "Note" });
    const frame = Math.max(this.frame, 0);
    const line = h("li", {}, `${frame} `, field);
    this.notes.append(line);
    field.focus();
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") line.remove();
      if (event.key !== "Enter") return;
      const notes = [...this.now.notes, { frame, text: field.value.trim() }].filter((each) => each.text);
      line.remove();
      this.change({ notes: notes.sort((a, b) => a.frame - b.frame) });
      this.root.focus();
    });
  }
  save() {
    if (this.host.live) {
      this.host.act("save_frame");
      return;
    }
    this.paint(false);
    const sheet = document.createElement("canvas");
    [sheet.width, sheet.height] = [this.canvas.width, this.canvas.height];
    const context = sheet.getContext("2d");
    context.drawImage(this.canvas, 0, 0);
    context.drawImage(this.marks.canvas, 0, 0);
    h("a", { href: sheet.toDataURL(), download: `${this.meta.name}_${this.frame}.png` }).click();
  }
  full() {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this.root.requestFullscreen?.();
  }
  tell(text) {
    this.told = text;
    this.status.textContent = text;
  }
  tellProgress(what, done, total) {
    this.progress.hidden = done >= total;
    this.progress.max = total;
    this.progress.value = done;
    if (done < total) this.tell(`${what}: ${Math.floor(100 * done / total)} %`);
    else if (this.told.startsWith(what)) this.tell("");
  }
  listen() {
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    const { stage } = this;
    stage.addEventListener("pointerdown", (event) => {
      this.root.focus({ preventScroll: true });
      stage.setPointerCapture(event.pointerId);
      this.press(event);
    });
    stage.addEventListener("pointermove", (event) => {
      if (event.buttons && this.zoomed.scale > 1 && this.now.view !== "wipe") this.pan(event.movementX, event.movementY);
      else if (event.buttons) this.press(event);
      this.pointer = this.placeOf(event);
      this.read();
    });
    stage.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.read();
    });
    stage.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        this.zoom(1.15 ** -Math.sign(event.deltaY), this.onSheet(event));
      },
      { passive: false }
    );
  }
  press(event) {
    if (this.now.view === "wipe") this.change({ border: this.placeOf(event)[0] });
  }
  // Where the pointer is on the picture, in parts of its width and height.
  onSheet(event) {
    const box = this.draws.canvas.getBoundingClientRect();
    const within = (value) => Math.min(Math.max(value, 0), 1);
    return [within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)];
  }
  placeOf(event) {
    const [x, y] = this.onSheet(event);
    return [this.now.view === "side-by-side" ? 2 * x % 1 : x, y];
  }
  zoom(factor, [x, y]) {
    const before = this.zoomed.scale;
    const scale = Math.min(Math.max(before * factor, 1), MOST_ZOOMED);
    const follow = (middle, place) => place + (middle - place) * before / scale;
    this.zoomed = { scale, x: follow(this.zoomed.x, x), y: follow(this.zoomed.y, y) };
    this.place();
    this.soon();
  }
  pan(x, y) {
    const { scale } = this.zoomed;
    this.zoomed.x -= x / (scale * this.stage.clientWidth);
    this.zoomed.y -= y / (scale * this.stage.clientHeight);
    this.place();
  }
  place() {
    const { scale } = this.zoomed;
    const bounded = (middle) => Math.min(Math.max(middle, 0.5 / scale), 1 - 0.5 / scale);
    [this.zoomed.x, this.zoomed.y] = [bounded(this.zoomed.x), bounded(this.zoomed.y)];
    const shift = (middle) => `${100 * (0.5 - middle) * scale}%`;
    this.sheet.style.transform = `translate(${shift(this.zoomed.x)}, ${shift(this.zoomed.y)}) scale(${scale})`;
  }
  resized() {
    this.soon();
    this.timeline.draw();
  }
  onKey(event) {
    const typing = event.target instanceof HTMLInputElement && ["text", "number"].includes(event.target.type);
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    if (event.target instanceof HTMLSelectElement && event.key.startsWith("Arrow")) return;
    const done = this.act(event.key);
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
  }
  act(key) {
    const { now, meta } = this;
    const middle = [this.zoomed.x, this.zoomed.y];
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -FAR, ArrowUp: FAR };
    const actions = {
      " ": () => this.change({ playing: !now.playing }),
      Home: () => this.go(0),
      End: () => this.go(meta.frames - 1),
      "[": () => this.change({ alpha: Math.max(Math.round(10 * now.alpha - 1) / 10, 0) }),
      "]": () => this.change({ alpha: Math.min(Math.round(10 * now.alpha + 1) / 10, 1) }),
      l: () => this.change({ loop: !now.loop }),
      n: () => this.note(),
      s: () => this.save(),
      f: () => this.full(),
      "+": () => this.zoom(1.25, middle),
      "-": () => this.zoom(0.8, middle),
      "0": () => this.zoom(1 / this.zoomed.scale, middle),
      "?": () => this.help.hidden = !this.help.hidden,
      Escape: () => this.help.hidden = this.drawer.hidden = true
    };
    if (key in steps) this.go(this.frame + steps[key]);
    else if (key in actions) actions[key]();
    else if (/^[1-9]$/.test(key) && this.views[Number(key) - 1]) {
      const view = this.views[Number(key) - 1];
      if (view.disabled) this.tell(`${meta.views[Number(key) - 1]} ${view.title}`);
      else view.click();
    } else return false;
    return true;
  }
};

// src/index.ts
function render({ model, el }) {
  const viewer = new Viewer(el, new KernelHost(model));
  Object.assign(el, { viewer });
  return () => viewer.dispose();
}
function mount(el, page) {
  return new Viewer(el, new PageHost(page));
}
var index_default = { render };
export {
  Canvas,
  Painter,
  index_default as default,
  mount,
  scaled
};
