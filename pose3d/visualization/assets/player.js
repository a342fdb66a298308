"use strict";
// A 3D skeleton player on a canvas: no library, no network. The data are made by pose3d/visualization/player.py.
(function () {
  const source = document.getElementById("player-data");
  const canvas = document.getElementById("player-canvas");
  if (!source || !canvas) return;
  const data = JSON.parse(source.textContent);
  const context = canvas.getContext("2d");
  const control = (name) => document.getElementById("player-" + name);
  const nIndividuals = data.individuals.length, nKeypoints = data.keypoints.length, nFrames = data.frames.length;
  const perFrame = nIndividuals * nKeypoints;

  // Positions: three unsigned 16-bit numbers each, little-endian whatever the machine.
  const packed = atob(data.positions);
  function read(frame, index, axis) {
    const at = 2 * (3 * (frame * perFrame + index) + axis);
    return packed.charCodeAt(at) | (packed.charCodeAt(at + 1) << 8);
  }
  function position(frame, index) {
    const x = read(frame, index, 0);
    if (x === data.missing) return null;
    return [data.origin[0] + data.step * x, data.origin[1] + data.step * read(frame, index, 1),
            data.origin[2] + data.step * read(frame, index, 2)];
  }

  // Vectors
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
  const add = (a, b, s) => [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]];
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const scaled = (a, s) => [a[0] * s, a[1] * s, a[2] * s];
  const unit = (a) => scaled(a, 1 / Math.hypot(a[0], a[1], a[2]));

  const up = data.up;
  // The same horizontal axes as in calibration/plots/view.py, so that azimuths mean the same.
  const smallest = up.map((value) => Math.round(Math.abs(value) * 1e6));
  const axis = [0, 0, 0];
  axis[smallest.indexOf(Math.min(...smallest))] = 1;
  const east = unit(add(axis, up, -dot(axis, up)));
  const north = cross(up, east);

  const view = {};
  function resetView() {
    Object.assign(view, data.view, { center: data.view.center.slice() });
    if (follow) view.distance = data.closeDistance;
  }

  let frame = firstComplete(), playing = false, clock = 0, last = 0, speed = 1;
  let follow = data.follow, showCameras = false, showNames = false, trail = -1;

  resetView();

  function firstComplete() {
    let best = 0, most = -1;
    for (let f = 0; f < Math.min(nFrames, 500); f++) {
      let known = 0;
      for (let k = 0; k < perFrame; k++) known += read(f, k, 0) !== data.missing;
      if (known > most) { most = known; best = f; }
      if (known === perFrame) break;
    }
    return best;
  }

  // Middle of all keypoints, averaged over about half a second, to follow the animals without shaking.
  const middles = [];
  for (let f = 0; f < nFrames; f++) {
    let sum = [0, 0, 0], count = 0;
    for (let k = 0; k < perFrame; k++) {
      const p = position(f, k);
      if (p) { sum = add(sum, p, 1); count++; }
    }
    middles.push(count ? scaled(sum, 1 / count) : null);
  }
  function middleAt(f) {
    const half = Math.max(1, Math.round(0.25 / Math.max(frameTime(), 1e-3)));
    let sum = [0, 0, 0], count = 0;
    for (let g = Math.max(0, f - half); g <= Math.min(nFrames - 1, f + half); g++) {
      if (middles[g]) { sum = add(sum, middles[g], 1); count++; }
    }
    return count ? scaled(sum, 1 / count) : data.view.center;
  }
  function frameTime() {
    if (nFrames < 2) return 1 / 30;
    const span = data.times[nFrames - 1] - data.times[0];
    return (data.seconds ? span : span / 30) / (nFrames - 1);
  }

  // Drawing
  let colors = {};
  function readColors() {
    const style = getComputedStyle(document.documentElement);
    const named = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
    colors = { ink: named("--ink", "#000"), muted: named("--muted", "#666"), line: named("--line", "#ddd"), of: {} };
    for (const list of [...data.pointColors, ...data.edgeColors, data.individualColors, data.cameras.map((c) => c.color), data.legend.map((l) => l[1])]) {
      for (const hex of list) colors.of[hex] = named("--c-" + hex.slice(1), hex);
    }
    // The middle of the body has the color of quiet text, which no palette entry is.
    colors.of["#66717f"] = colors.muted;
  }

  let width = 0, height = 0, right, down, forward, focal;
  function prepare() {
    const ratio = window.devicePixelRatio || 1;
    width = canvas.clientWidth; height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const c = Math.cos(view.elevation), s = Math.sin(view.elevation), ca = Math.cos(view.azimuth), sa = Math.sin(view.azimuth);
    const outward = add(scaled(east, ca), north, sa);
    forward = add(scaled(outward, -c), up, -s);
    right = add(scaled(east, -sa), north, ca);
    down = cross(forward, right);
    // Chosen for a picture 1.5 times as wide as high; a narrower one needs a wider look.
    focal = Math.min(height, width / 1.5) / 2 / Math.tan(view.fieldOfView / 2);
  }
  function project(p) {
    const d = minus(p, view.center), z = dot(d, forward) / view.distance + 1;
    if (z < 0.02) return null;
    const s = focal / (view.distance * z);
    return [width / 2 + s * dot(d, right), height / 2 + s * dot(d, down), z];
  }
  function clippedLine(a, b) {
    const za = dot(minus(a, view.center), forward) / view.distance + 1, zb = dot(minus(b, view.center), forward) / view.distance + 1;
    const near = 0.05;
    if (za < near && zb < near) return;
    const t = (near - za) / (zb - za);
    const cut = za < near || zb < near ? add(a, minus(b, a), t) : null;
    const p = project(za < near ? cut : a), q = project(zb < near ? cut : b);
    if (!p || !q) return;
    context.beginPath(); context.moveTo(p[0], p[1]); context.lineTo(q[0], q[1]); context.stroke();
  }

  function draw() {
    if (follow) view.center = add(middleAt(frame), up, dot(minus(data.view.center, middleAt(frame)), up));
    prepare();
    context.clearRect(0, 0, width, height);
    context.lineCap = "round";
    context.lineWidth = 1; context.strokeStyle = colors.line;
    for (const [a, b] of data.ground) clippedLine(a, b);
    if (showCameras) drawCameras();
    if (trail >= 0) drawTrail();
    drawSkeletons();
    context.globalAlpha = 1;
    describe();
  }
  function drawCameras() {
    context.lineWidth = 1.2; context.font = "12px system-ui, sans-serif"; context.textAlign = "center";
    for (const camera of data.cameras) {
      context.strokeStyle = context.fillStyle = colors.of[camera.color];
      for (const [a, b] of camera.lines) clippedLine(a, b);
      const p = project(camera.lines[0][0]);
      if (p) context.fillText(camera.name, p[0], p[1] - 8);
    }
  }
  function drawTrail() {
    const length = Math.max(2, Math.round(1 / Math.max(frameTime(), 1e-3)));
    context.lineWidth = 1.6; context.strokeStyle = colors.ink;
    for (let i = 0; i < nIndividuals; i++) {
      for (let f = Math.max(1, frame - length); f <= frame; f++) {
        const a = position(f - 1, i * nKeypoints + trail), b = position(f, i * nKeypoints + trail);
        context.globalAlpha = 0.6 * (1 - (frame - f) / length);
        if (a && b) clippedLine(a, b);
      }
    }
    context.globalAlpha = 1;
  }
  function drawSkeletons() {
    const items = [], tops = [];
    let low = Infinity, high = -Infinity;
    for (let i = 0; i < nIndividuals; i++) {
      const pixels = [];
      for (let k = 0; k < nKeypoints; k++) {
        const p = position(frame, i * nKeypoints + k), q = p && project(p);
        pixels.push(q);
        if (q) { items.push({ z: q[2] - 1e-6, q: q, color: data.pointColors[i][k], name: data.keypoints[k] }); low = Math.min(low, q[2]); high = Math.max(high, q[2]); }
      }
      const top = pixels.reduce((best, q) => q && (!best || q[1] < best[1]) ? q : best, null);
      if (top) tops.push([i, top[0], top[1]]);
      data.edges.forEach(([a, b], e) => {
        if (pixels[a] && pixels[b]) items.push({ z: (pixels[a][2] + pixels[b][2]) / 2, q: pixels[a], r: pixels[b], color: data.edgeColors[i][e] });
      });
    }
    items.sort((a, b) => b.z - a.z);  // far ones first
    // Lines grow with the animal, but less than it does.
    const near = follow ? data.closeDistance : data.view.distance;
    const zoomed = Math.max(0.35, Math.min(2, Math.sqrt(near / view.distance)));
    const scale = Math.min(height, width / 1.5) / 560 * zoomed;
    for (const item of items) {
      context.globalAlpha = 1 - 0.55 * (high > low ? (item.z - low) / (high - low) : 0);
      context.strokeStyle = context.fillStyle = colors.of[item.color];
      context.beginPath();
      if (item.r) {
        context.lineWidth = 4 * scale / item.z;
        context.moveTo(item.q[0], item.q[1]); context.lineTo(item.r[0], item.r[1]); context.stroke();
      } else {
        context.arc(item.q[0], item.q[1], 4 * scale / item.z, 0, 2 * Math.PI); context.fill();
      }
    }
    context.globalAlpha = 1;
    if (nIndividuals > 1) drawIndividuals(tops);
    if (!showNames) return;
    context.font = "11px system-ui, sans-serif"; context.textAlign = "left"; context.fillStyle = colors.muted;
    for (const item of items) if (item.name) context.fillText(item.name, item.q[0] + 7, item.q[1] + 4);
  }
  // The name above every animal, in its color; names that would cover each other move up.
  function drawIndividuals(tops) {
    context.font = "600 12px system-ui, sans-serif"; context.textAlign = "center";
    const taken = [];
    for (const [i, x, y] of tops) {
      const name = data.individuals[i], half = context.measureText(name).width / 2;
      let at = y - 8;
      for (let tries = 0; tries < taken.length; tries++) {
        const covered = taken.filter((other) => Math.abs(other[0] - x) < other[2] + half && Math.abs(other[1] - at) < 14);
        if (!covered.length) break;
        at = Math.min(...covered.map((other) => other[1])) - 14;
      }
      taken.push([x, at, half]);
      context.fillStyle = colors.of[data.individualColors[i]];
      context.fillText(name, x, at);
    }
  }
  function describe() {
    const time = data.seconds ? "  " + data.times[frame].toFixed(2) + " s" : "";
    control("time").textContent = "frame " + data.frames[frame] + time;
    control("scrub").value = frame;
    control("scrub").setAttribute("aria-valuetext", "frame " + data.frames[frame] + time);
  }

  // Playing
  function tick(now) {
    if (!playing) return;
    clock += (now - last) / 1000 * speed; last = now;
    const steps = Math.floor(clock / frameTime());
    if (steps > 0) { clock -= steps * frameTime(); frame = (frame + steps) % nFrames; draw(); }
    requestAnimationFrame(tick);
  }
  function play(on) {
    playing = on && nFrames > 1;
    control("play").textContent = playing ? "Pause" : "Play";
    control("play").setAttribute("aria-pressed", String(playing));
    if (playing) { last = performance.now(); clock = 0; requestAnimationFrame(tick); }
  }
  function go(to) { frame = Math.max(0, Math.min(nFrames - 1, to)); draw(); }
  function zoom(factor) { view.distance = Math.max(data.view.distance / 30, Math.min(data.view.distance * 12, view.distance * factor)); draw(); }
  function orbit(dx, dy) {
    view.azimuth -= dx; view.elevation = Math.max(-1.5, Math.min(1.5, view.elevation + dy)); draw();
  }
  function pan(dx, dy) {
    const s = view.distance / focal;
    view.center = add(add(view.center, right, -dx * s), down, -dy * s); draw();
  }

  control("play").addEventListener("click", () => play(!playing));
  control("scrub").max = Math.max(0, nFrames - 1);
  control("scrub").addEventListener("input", (event) => { play(false); go(Number(event.target.value)); });
  control("speed").addEventListener("change", (event) => { speed = Number(event.target.value); });
  control("reset").addEventListener("click", () => { resetView(); draw(); });
  function setFollow(on) {
    follow = on;
    control("follow").checked = on;
    view.center = data.view.center.slice();
    view.distance = on ? data.closeDistance : data.view.distance;
  }
  control("follow").addEventListener("change", (event) => { setFollow(event.target.checked); draw(); });
  control("follow").checked = follow;
  control("names").addEventListener("change", (event) => { showNames = event.target.checked; draw(); });
  if (control("cameras")) control("cameras").addEventListener("change", (event) => {
    showCameras = event.target.checked;
    // The cameras stand around the scene: step back to see them, and forward again.
    if (showCameras) setFollow(false);
    view.center = (showCameras ? data.cameraCenter : data.view.center).slice();
    view.distance = showCameras ? data.cameraDistance : data.view.distance;
    draw();
  });
  data.keypoints.forEach((name, index) => {
    const option = document.createElement("option");
    option.value = index; option.textContent = name;
    control("trail").append(option);
  });
  control("trail").addEventListener("change", (event) => { trail = Number(event.target.value); draw(); });

  const pointers = new Map();
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); pointers.set(event.pointerId, event); });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY;
    if (pointers.size === 2) {
      const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
      const distance = (e) => Math.hypot(e.clientX - other.clientX, e.clientY - other.clientY);
      if (distance(event) > 0) zoom(distance(before) / distance(event));
    } else if (event.shiftKey || event.buttons === 2 || event.buttons === 4) pan(dx, dy);
    else orbit(dx * 0.008, dy * 0.008);
    pointers.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    // Without the key, the wheel goes on scrolling the page.
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault(); zoom(Math.exp(event.deltaY * 0.0012));
  }, { passive: false });
  const keys = {
    " ": () => play(!playing), ",": () => { play(false); go(frame - 1); }, ".": () => { play(false); go(frame + 1); },
    Home: () => go(0), End: () => go(nFrames - 1), "+": () => zoom(0.9), "=": () => zoom(0.9), "-": () => zoom(1.11), "0": () => { resetView(); draw(); },
    ArrowLeft: () => orbit(0.08, 0), ArrowRight: () => orbit(-0.08, 0), ArrowUp: () => orbit(0, 0.06), ArrowDown: () => orbit(0, -0.06),
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault(); keys[event.key]();
  });

  const legend = control("legend");
  for (const [name, color] of data.legend) {
    const item = document.createElement("li"), dot_ = document.createElement("i");
    dot_.style.background = "var(--c-" + color.slice(1) + "," + color + ")";
    item.append(dot_, name); legend.append(item);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColors(); draw(); });
  new ResizeObserver(draw).observe(canvas);
  readColors();
  draw();
})();
