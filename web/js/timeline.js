/*
 * timeline.js - lanes of bars and marks over time, on a canvas, so that thousands of them cost little.
 *
 * What is drawn is also in a table beside it; the canvas itself is a picture with a label.  Idle time may be compressed:
 * then a gap is as wide as the logarithm of its length.
 */
import { h } from './dom.js';
import { duration } from './format.js';

const LANE = 26;
const HEAD = 22;

/**
 * lanes: [{label, bars: [{from, to (null: lasts), kind: work|wait|sub, text, failed}], marks: [{at, kind: event|start|end, text}]}]
 * Times are milliseconds.  Returns {element, update(lanes, now), mode(compressed)}.
 */
export function timeline({ label, compressed = true, onPick }) {
	const canvas = h('canvas', { role: 'img', 'aria-label': label });
	const tip = h('div', { class: 'tl-tip', hidden: true });
	const element = h('div', { class: 'tl' }, canvas, tip);
	let lanes = [];
	let now = 0;
	let isCompressed = compressed;
	let hits = [];
	let frame = 0;

	const later = () => { if (!frame) frame = requestAnimationFrame(() => { frame = 0; draw(); }); };

	function draw() {
		const width = element.clientWidth;
		if (width === 0)
			return;
		const style = getComputedStyle(document.documentElement);
		const c = name => style.getPropertyValue(`--${name}`).trim();
		const narrow = width < 560;
		const left = narrow ? 8 : Math.min(230, width * 0.26);
		const lane = narrow ? LANE + 14 : LANE;
		const height = HEAD + Math.max(1, lanes.length) * lane + 4;
		const ratio = Math.min(2, devicePixelRatio || 1);
		if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
			canvas.width = Math.round(width * ratio);
			canvas.height = Math.round(height * ratio);
			canvas.style.width = `${width}px`;
			canvas.style.height = `${height}px`;
		}
		const g = canvas.getContext('2d');
		g.setTransform(ratio, 0, 0, ratio, 0, 0);
		g.clearRect(0, 0, width, height);
		hits = [];
		const scale = makeScale(times(), left + 4, width - 10);
		const font = style.getPropertyValue('--sans').trim();

		// Ticks, as far apart as their words need.
		g.font = `11px ${font}`;
		g.textBaseline = 'middle';
		let lastX = -100;
		const end = scale.x(scale.ticks.at(-1));
		for (const tick of scale.ticks) {
			const x = scale.x(tick);
			if (x - lastX < 64 || (x < end && end - x < 110))
				continue;
			lastX = x;
			g.strokeStyle = c('line');
			g.lineWidth = 1;
			g.beginPath();
			g.moveTo(Math.round(x) + 0.5, HEAD - 4);
			g.lineTo(Math.round(x) + 0.5, height);
			g.stroke();
			g.fillStyle = c('ink-soft');
			g.textAlign = x > width - 50 ? 'right' : 'left';
			g.fillText(tick === scale.first ? '0' : `+${duration(tick - scale.first)}`, x > width - 50 ? x : x + 2, 8);
		}

		lanes.forEach((row, i) => {
			const top = HEAD + i * lane;
			const y = narrow ? top + 14 : top;
			if (i > 0) {
				g.fillStyle = c('line');
				g.fillRect(0, top, width, 1);
			}
			g.fillStyle = row.dim ? c('ink-soft') : c('ink');
			g.textAlign = 'left';
			g.font = `${narrow ? 11 : 12}px ${font}`;
			g.fillText(fit(g, row.label, narrow ? width - 12 : left - 10), 2, narrow ? top + 9 : y + LANE / 2);
			for (const bar of row.bars) {
				const x0 = scale.x(bar.from);
				const x1 = Math.max(x0 + 3, scale.x(bar.to ?? now));
				const colour = bar.failed ? c('failed') : bar.kind === 'wait' ? c('suspended') : bar.kind === 'sub' ? c('terminated') : c('running');
				if (bar.kind === 'work') {
					g.fillStyle = colour;
					round(g, x0, y + 7, x1 - x0, LANE - 14, 3);
					g.fill();
				} else {
					hatch(g, x0, y + 8, x1 - x0, LANE - 16, colour);
				}
				hits.push({ x0: x0 - 2, x1: x1 + 2, y0: y + 4, y1: y + LANE - 4, bar, lane: row });
			}
			for (const m of row.marks) {
				const x = scale.x(m.at);
				g.fillStyle = m.kind === 'event' ? c('accent') : m.failed ? c('failed') : m.kind === 'end' ? c('completed') : c('ink-soft');
				g.beginPath();
				if (m.kind === 'event') {
					g.moveTo(x, y + 5); g.lineTo(x + 7, y + 13); g.lineTo(x, y + 21); g.lineTo(x - 7, y + 13);
				} else {
					g.arc(x, y + 13, m.kind === 'end' ? 5 : 3.5, 0, 7);
				}
				g.fill();
				hits.push({ x0: x - 8, x1: x + 8, y0: y + 3, y1: y + 23, bar: m, lane: row });
			}
		});
	}

	function times() {
		const all = [];
		for (const row of lanes) {
			for (const bar of row.bars)
				all.push(bar.from, bar.to ?? now);
			for (const m of row.marks)
				all.push(m.at);
		}
		if (all.length === 0)
			all.push(now, now + 1000);
		all.sort((a, b) => a - b);
		return all.filter((t, i) => i === 0 || t !== all[i - 1]);
	}

	function makeScale(all, x0, x1) {
		const first = all[0];
		const last = Math.max(all.at(-1), first + 1);
		if (!isCompressed || all.length < 3) {
			const ticks = [];
			for (let i = 0; i <= 6; i++)
				ticks.push(first + (last - first) * i / 6);
			return { first, ticks, x: t => x0 + (x1 - x0) * (t - first) / (last - first) };
		}
		const at = [0];
		for (let i = 1; i < all.length; i++)
			at.push(at[i - 1] + Math.log2(1.3 + (all[i] - all[i - 1]) / 20));
		const total = at.at(-1) || 1;
		return {
			first, ticks: all,
			x(t) {
				let lo = 0;
				let hi = all.length - 1;
				while (hi - lo > 1) {
					const mid = (lo + hi) >> 1;
					if (all[mid] <= t) lo = mid; else hi = mid;
				}
				const span = all[hi] - all[lo] || 1;
				const part = Math.min(1, Math.max(0, (t - all[lo]) / span));
				return x0 + (x1 - x0) * (at[lo] + (at[hi] - at[lo]) * part) / total;
			}
		};
	}

	function under(event) {
		const box = canvas.getBoundingClientRect();
		const x = event.clientX - box.left;
		const y = event.clientY - box.top;
		let best = null;
		for (const hit of hits)
			if (x >= hit.x0 && x <= hit.x1 && y >= hit.y0 && y <= hit.y1 && (!best || hit.x1 - hit.x0 < best.x1 - best.x0))
				best = hit;
		return best && { ...best, x, y };
	}

	canvas.addEventListener('mousemove', event => {
		const hit = under(event);
		tip.hidden = !hit;
		canvas.style.cursor = hit && onPick ? 'pointer' : '';
		if (!hit)
			return;
		const { bar } = hit;
		tip.textContent = bar.at !== undefined ? bar.text : `${bar.text}: ${duration((bar.to ?? now) - bar.from)}${bar.to === null ? ' so far' : ''}`;
		tip.style.left = `${Math.min(hit.x + 12, Math.max(0, element.clientWidth - tip.offsetWidth - 8))}px`;
		tip.style.top = `${hit.y + 16}px`;
	});
	canvas.addEventListener('mouseleave', () => { tip.hidden = true; });
	if (onPick)
		canvas.addEventListener('click', event => { const hit = under(event); if (hit) onPick(hit.bar, hit.lane); });
	new ResizeObserver(later).observe(element);
	new MutationObserver(later).observe(document.documentElement, { attributeFilter: ['data-theme'] });

	return {
		element,
		update(newLanes, newNow) { lanes = newLanes; now = newNow; later(); },
		mode(value) { isCompressed = value; later(); }
	};
}

function fit(g, text, width) {
	if (g.measureText(text).width <= width)
		return text;
	let n = text.length;
	while (n > 1 && g.measureText(`${text.slice(0, n)}…`).width > width)
		n--;
	return `${text.slice(0, n)}…`;
}

function round(g, x, y, w, hgt, r) {
	g.beginPath();
	if (g.roundRect)
		g.roundRect(x, y, w, hgt, Math.min(r, w / 2));
	else
		g.rect(x, y, w, hgt);
}

function hatch(g, x, y, w, hgt, colour) {
	g.save();
	round(g, x, y, w, hgt, 3);
	g.clip();
	g.globalAlpha = 0.18;
	g.fillStyle = colour;
	g.fillRect(x, y, w, hgt);
	g.globalAlpha = 0.75;
	g.strokeStyle = colour;
	g.lineWidth = 1;
	g.beginPath();
	for (let i = x - hgt; i < x + w; i += 6) {
		g.moveTo(i, y + hgt);
		g.lineTo(i + hgt, y);
	}
	g.stroke();
	g.restore();
}
