// Draws a picture on the GPU: the map is enlarged horizontally, then vertically, and blended over the frame.

import { enlargement, type Table } from "./enlarge";
import { type Draws, LEVELS, type Picture, type Shown, VIEWS } from "./picture";

const VERTEX = `#version 300 es
void main() {
  gl_Position = vec4(vec2(gl_VertexID == 1 ? 3 : -1, gl_VertexID == 2 ? 3 : -1), 0, 1);
}`;

// Packs a number from -0.5 to 1.5 into two bytes, since not every GPU can render to float textures.
const NUMBERS = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
float unpacked(vec4 bytes) { return dot(bytes.rg, vec2(65280.0, 255.0)) / 65535.0 * 2.0 - 0.5; }
vec4 packed(float number) {
  float whole = round(clamp(number * 0.5 + 0.25, 0.0, 1.0) * 65535.0);
  return vec4(floor(whole / 256.0) / 255.0, mod(whole, 256.0) / 255.0, 0.0, 1.0);
}
`;

const ENLARGE = `${NUMBERS}
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

const COMPOSE = `${NUMBERS}
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

const ASIDE = 7; // the texture unit for creating textures, so that the units in use keep their bindings

interface Target {
  texture: WebGLTexture;
  frame: WebGLFramebuffer;
  size: string;
}

export class Painter implements Draws {
  readonly kind = "WebGL";
  private gl: WebGL2RenderingContext;
  private using: "enlarge" | "compose" = "compose";
  private programs: Record<"enlarge" | "compose", WebGLProgram>;
  private places = new Map<string, WebGLUniformLocation | null>();
  private textures = new Map<string, WebGLTexture>();
  private targets = new Map<string, Target>();
  private tables = new Map<string, { texture: WebGLTexture; taps: number }>();

  // Throws where there is no WebGL 2.
  constructor(readonly canvas: HTMLCanvasElement) {
    const gl = canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true });
    if (!gl) throw new Error("no WebGL 2");
    this.gl = gl;
    this.programs = { enlarge: this.program(ENLARGE), compose: this.program(COMPOSE) };
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.bindVertexArray(gl.createVertexArray());
  }

  draw(picture: Picture): void {
    const { gl } = this;
    const { width, height, view } = picture;
    const across = view === "side-by-side" ? 2 * width : width;
    if (this.canvas.width !== across) this.canvas.width = across;
    if (this.canvas.height !== height) this.canvas.height = height;
    const maps = [this.grey(picture.first, "first", picture), this.grey(picture.second, "second", picture)];
    this.use("compose");
    this.bind(0, "image", this.texture("image", gl.LINEAR));
    if (!picture.quick) gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture.image as TexImageSource);
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

  dispose(): void {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  // The texture of a map: enlarged to the frame's size or, if `quick`, in its own size.
  private grey(shown: Shown, name: string, { quick, width, height, view }: Picture): WebGLTexture {
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

  private enlarge({ map, gain, offset }: Shown, name: string, width: number, height: number): void {
    const { gl } = this;
    const last = this.target(name, width, height);
    if (!map) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, last.frame);
      gl.clearColor(64 / 255, 0, 0, 1); // 0 as `packed` writes it
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

  private step(from: number, to: number, down: boolean): void {
    const { gl } = this;
    const table = this.table(from, to);
    this.bind(1, "weights", table.texture, "enlarge");
    gl.uniform1i(this.place("enlarge", "taps"), table.taps);
    gl.uniform1i(this.place("enlarge", "down"), Number(down));
    gl.uniform1i(this.place("enlarge", "raw"), Number(!down));
  }

  private table(from: number, to: number): { texture: WebGLTexture; taps: number } {
    const { gl } = this;
    const name = `${from}>${to}`;
    let made = this.tables.get(name);
    if (!made) {
      const table: Table = enlargement(from, to);
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

  private colours(unit: number, name: string, table: Uint8Array): void {
    const { gl } = this;
    this.bind(unit, name, this.texture(name, gl.NEAREST));
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, 256, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, table);
  }

  private fill(frame: WebGLFramebuffer | null, width: number, height: number): void {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.viewport(0, 0, width, height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  private program(fragment: string): WebGLProgram {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, text] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, fragment],
    ] as const) {
      const shader = gl.createShader(kind) as WebGLShader;
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "no program");
    return program;
  }

  private use(name: "enlarge" | "compose"): void {
    this.using = name;
    this.gl.useProgram(this.programs[name]);
  }

  private place(program: "enlarge" | "compose", name: string): WebGLUniformLocation | null {
    const key = `${program}.${name}`;
    if (!this.places.has(key)) this.places.set(key, this.gl.getUniformLocation(this.programs[program], name));
    return this.places.get(key) ?? null;
  }

  private bind(unit: number, name: string, texture: WebGLTexture, program = this.using): void {
    this.gl.activeTexture(this.gl.TEXTURE0 + unit);
    this.gl.bindTexture(this.gl.TEXTURE_2D, texture);
    this.gl.uniform1i(this.place(program, name), unit);
  }

  // The texture of this name, created if necessary and bound to the unit ASIDE.
  private texture(name: string, filter: number): WebGLTexture {
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
      [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
    ])
      gl.texParameteri(gl.TEXTURE_2D, what, value);
    return texture;
  }

  private target(name: string, width: number, height: number): Target {
    const { gl } = this;
    const size = `${width}x${height}`;
    const known = this.targets.get(name);
    if (known?.size === size) return known;
    const texture = this.texture(`target ${name}`, gl.NEAREST);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
    const frame = known?.frame ?? gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    const made = { texture, frame, size };
    this.targets.set(name, made);
    return made;
  }
}
