/*
 * harness.js - what the tests of the pages share: a gateway, a browser, psql, and stopping and starting the server.
 *
 * scripts/check (suite browser) makes the cluster and says by the environment where it is:
 *   PGHOST, PGPORT, PGDATABASE    the cluster; roles postgres, dungeon (owns the game), web (the gateway's, member of dungeon)
 *   DURABLE_DATA, DURABLE_LOG     its data directory and log, for pg_ctl
 * Programs psql, pg_ctl and durable are in the PATH.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { after } from 'node:test';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'];

/* How much slower than a quiet machine this one may be. */
export const PATIENCE = Number(process.env.PG_TEST_TIMEOUT_DEFAULT ?? 180) * 1000;

export async function psql(sql, user = 'dungeon') {
	const { stdout } = await run('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', user, '-c', sql]);
	return stdout.trim();
}

const pgCtl = (...args) => run('pg_ctl', ['-D', process.env.DURABLE_DATA, '-s', '-w', '-t', '180', ...args]);

export const stopServer = () => pgCtl('-m', 'immediate', 'stop');

export async function startServer() {
	// The postmaster keeps the descriptors that it is given.
	await new Promise((resolve, reject) => {
		const child = spawn('pg_ctl', ['-D', process.env.DURABLE_DATA, '-l', process.env.DURABLE_LOG, '-s', '-w', '-t', '180', 'start'], { stdio: 'ignore' });
		child.on('exit', code => code === 0 ? resolve() : reject(new Error('the server does not start')));
	});
}

let browser = null;
const gateways = [];
// Registered here, so that it runs at the end of the file and not of the test that happens to come first.
after(async () => {
	await browser?.close();
	for (const child of gateways)
		child.kill();
});

/** Starts a gateway; the test file's end stops it. */
export async function gateway(...options) {
	const child = spawn('durable', ['serve', '-d', `user=web dbname=${process.env.PGDATABASE}`, '--role', 'dungeon', '--port', '0', ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
	let said = '';
	const address = await new Promise((resolve, reject) => {
		const hear = data => {
			said += data;
			const m = said.match(/^(http:\/\/\S+?)\/?$/m);
			// fetch of Node.js 18 would try the address of localhost in IPv6 only.
			if (m)
				resolve(m[1].replace('//localhost:', '//127.0.0.1:'));
		};
		child.stdout.on('data', hear);
		child.stderr.on('data', hear);
		child.on('exit', () => reject(new Error(`the gateway has ended: ${said}`)));
	});
	gateways.push(child);
	return { address, child, port: new URL(address).port };
}

/** A new page in a browser profile of its own.  What goes wrong in it fails the test that looks at page.problems. */
export async function open(url, options = {}) {
	if (!browser) {
		browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
	}
	const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, reducedMotion: 'reduce', ...options });
	return openIn(context, url);
}

export async function openIn(context, url) {
	const page = await context.newPage();
	page.problems = [];
	page.setDefaultTimeout(PATIENCE);
	page.on('pageerror', error => page.problems.push(String(error.stack ?? error)));
	page.on('console', message => {
		if (message.type() === 'error' && /Content Security Policy|Refused to/.test(message.text()))
			page.problems.push(message.text());
	});
	await page.goto(url);
	return page;
}

/** No violation of WCAG 2.2 A or AA that axe calls serious or critical. */
export async function accessible(page, where) {
	// The pages' policy forbids scripts that are not theirs, so axe comes by the debugger, which is not asked.
	await page.evaluate(AXE);
	const results = await page.evaluate(() => window.axe.run(document, { runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] } }));
	const serious = results.violations.filter(v => v.impact === 'serious' || v.impact === 'critical');
	assert.deepEqual(serious.map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => `${n.html.slice(0, 160)} (${n.failureSummary?.split('\n')[1]?.trim()})`).join(' | ')}`), [], `${where}: accessibility`);
}

/** The longest task of a page's main thread while f() runs, in milliseconds: processor time, which a busy machine does not lengthen, and on the clock. */
export async function longestTask(page, f) {
	await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline'] });
	await f();
	const { traceEvents } = JSON.parse(await browser.stopTracing());
	const of = (a, b) => a.pid === b.pid && a.tid === b.tid;
	const script = traceEvents.find(e => e.name === 'FunctionCall');
	assert.ok(script, 'the page has run a script');
	const tasks = traceEvents.filter(e => /RunTask$/.test(e.name) && e.tdur !== undefined && of(e, script));
	assert.ok(tasks.length > 0, 'the tasks of the page are known');
	return { cpu: Math.max(...tasks.map(e => e.tdur)) / 1000, clock: Math.max(...tasks.map(e => e.dur)) / 1000 };
}

/** Waits until f() is true. */
export async function until(f, what, timeout = PATIENCE) {
	const end = Date.now() + timeout;
	while (Date.now() < end) {
		if (await f())
			return;
		await new Promise(resolve => setTimeout(resolve, 100));
	}
	assert.fail(`in vain: ${what}`);
}

let n = 0;
/** A player's name that no other test has. */
export const someName = (text = 'Pat') => `${text} ${process.pid}.${++n}`;

/** Begins a game by the form, up to the gatekeeper's question. */
export async function knock(page, name) {
	await page.fill('#name', name);
	await page.press('#name', 'Enter');
	await page.getByRole('button', { name: 'Let me in!' }).waitFor();
}

/** Plays with the buttons, from the question to the end. */
export async function playOn(page) {
	await page.getByRole('button', { name: 'Let me in!' }).click();
	await page.getByRole('button', { name: /^Get the / }).click();
	await page.getByRole('button', { name: /^Kill the / }).click();
	await page.getByRole('button', { name: /^Get the / }).click();
}
