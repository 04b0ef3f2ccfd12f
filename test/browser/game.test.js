/* The page of the game: to victory, to death, through a crash, two tabs, hostile names, by the keyboard alone. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { accessible, gateway, knock, open, openIn, playOn, psql, someName, startServer, stopServer, until } from './harness.js';

const crash = 'pg_ctl -D "$DURABLE_DATA" -s -w -m immediate stop; sleep 2; pg_ctl -D "$DURABLE_DATA" -l "$DURABLE_LOG" -s -w start';
const { address } = await gateway('--cors', '*', '--crash-command', crash);
const play = `${address}/play`;

test('a game is played to victory with the mouse', async () => {
	const name = someName();
	const page = await open(`${play}?new`);
	await accessible(page, 'the gate');
	await knock(page, name);
	await accessible(page, 'the hourglass');
	// A workflow's code, with the line that waits.
	const card = page.locator('.flow').nth(1);
	await card.getByRole('button', { name: 'Code of UserConfirmationWorkflow' }).click();
	await card.locator('li.lit').waitFor();
	assert.match(await card.locator('li.lit').innerText(), /when_any\(approval, deadline\)/, 'the line that waits is lit');
	assert.match(await card.innerText(), /event ApprovalTask/, 'the card says what is waited for');
	assert.match(await card.locator('.due').innerText(), /^[12]:\d\d$/, 'and the deadline');
	assert.match(await card.innerText(), /Human interaction/, 'and what it is an example of');
	await playOn(page);
	await page.getByRole('heading', { name: `${name} has won!` }).waitFor();
	await until(async () => /has won/.test(await page.locator('#story').innerText()), 'the story tells the victory');
	await accessible(page, 'the victory');
	for (const width of [320, 768, 1920]) {
		await page.setViewportSize({ width, height: 800 });
		assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), `nothing is cut off at ${width}`);
	}
	await page.setViewportSize({ width: 1280, height: 860 });
	assert.match(await page.locator('#happened').innerText(), /SELECT \* FROM dd_confirm\('/, 'each click has its SQL');
	assert.match(await page.locator('#happened').innerText(), /GameMonitorWorkflow took turn/, 'and its turns');
	assert.match(await page.locator('#ratio').innerText(), /of play, .* ms of computing/);
	await page.getByText('The same as a table').click();
	await until(async () => (await page.locator('#timeline-table tbody tr').count()) > 10, 'the timeline is a table, too');
	const clicked = await page.locator('#happened .sql pre').first().innerText();
	assert.equal(await psql(`BEGIN; ${clicked.replace('SELECT *', 'SELECT ok').replace(/;$/, '')}; ROLLBACK`), 'f', 'the SQL that is shown can be executed');
	// the list of games says so
	const gate = await openIn(page.context(), `${address}/play?new`);
	await gate.getByRole('listitem').filter({ hasText: name }).getByText('won', { exact: true }).waitFor();
	assert.deepEqual(gate.problems, []);
	await gate.close();
	assert.deepEqual(page.problems, []);
	await page.close();
});

test('who does not confirm dies', async () => {
	const before = await psql('SELECT confirm_timeout FROM dungeon.settings');
	await psql("UPDATE dungeon.settings SET confirm_timeout = '1 second'");
	try {
		const name = someName();
		const page = await open(`${play}?new`);
		await page.fill('#name', name);
		await page.press('#name', 'Enter');
		await page.getByRole('heading', { name: `${name} is dead` }).waitFor();
		await accessible(page, 'the death');
		assert.deepEqual(page.problems, []);
		await page.close();
	} finally {
		await psql(`UPDATE dungeon.settings SET confirm_timeout = '${before}'`);
	}
});

test('the server is crashed by the button in the middle of a game, which is won', async () => {
	const name = someName();
	const page = await open(`${play}?new`);
	await knock(page, name);
	await page.getByRole('button', { name: 'Crash the server' }).click();
	await page.getByRole('button', { name: 'Crash it' }).click();
	await page.getByText('The server is gone.').waitFor();
	await accessible(page, 'while the server is gone');
	await page.getByText(/The server is back after .* Nothing is lost\./).waitFor();
	await playOn(page);
	await page.getByRole('heading', { name: `${name} has won!` }).waitFor();
	const lines = () => page.locator('#story li').evaluateAll(all => all.map(l => l.dataset.id).join());
	await until(async () => await lines() === await psql(`SELECT string_agg(id::text, ',' ORDER BY id) FROM dungeon.console WHERE player = '${name}'`),
		'the story has each line once, and none is missing');
	assert.deepEqual(page.problems, []);
	await page.close();
});

test('the server goes and comes back while the page waits', async () => {
	const name = someName();
	const page = await open(`${play}?new`);
	await knock(page, name);
	await stopServer();
	await page.getByText('The server is gone.').waitFor();
	await startServer();
	await page.getByText(/The server is back/).waitFor();
	await playOn(page);
	await page.getByRole('heading', { name: `${name} has won!` }).waitFor();
	await page.close();
});

test('pages of other sites cannot crash the server', async () => {
	const from = origin => fetch(`${address}/crash`, { method: 'POST', headers: { Origin: origin } });
	assert.equal((await from('null')).status, 403);
	assert.equal((await from('http://evil.example')).status, 403);
	const other = await gateway();
	assert.equal((await fetch(`${other.address}/crash`)).status, 404, 'without the option there is no such route');
});

test('two tabs and a spectator see one game', async () => {
	const name = someName();
	const page = await open(`${play}?new`);
	await knock(page, name);
	const second = await openIn(page.context(), `${play}?name=${encodeURIComponent(name)}`);
	const spectator = await open(`${play}?watch=${encodeURIComponent(name)}`);
	await spectator.getByText('You are watching').waitFor();
	assert.equal(await spectator.getByRole('button', { name: 'Let me in!' }).count(), 0, 'who watches has no buttons');
	await second.getByRole('button', { name: 'Let me in!' }).click();
	await page.getByRole('button', { name: /^Get the / }).click();
	await second.getByRole('button', { name: /^Kill the / }).click();
	await second.locator('.thing.slain').waitFor();
	await accessible(second, 'the room');
	await page.getByRole('button', { name: /^Get the / }).click();
	for (const tab of [page, second, spectator]) {
		await tab.getByRole('heading', { name: `${name} has won!` }).waitFor();
		assert.deepEqual(tab.problems, []);
	}
	await spectator.close();
	await page.context().close();
});

test('a game that is played at a terminal is live on the page', async () => {
	const name = someName();
	// script(1) is the terminal.
	const terminal = spawn('script', ['-qfec', `dungeon --no-color -U dungeon play '${name}'`, '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, TERM: 'xterm', LC_ALL: 'C.UTF-8' } });
	let screen = '';
	terminal.stdout.on('data', data => { screen += data; });
	const type = line => terminal.stdin.write(`${line}\r`);
	const when = async condition => {
		let game;
		await until(async () => {
			const answer = await fetch(`${address}/api/GameStatus/${encodeURIComponent(name)}`);
			game = answer.ok ? await answer.json() : null;
			return game && condition(game);
		}, 'the game goes on');
		return game;
	};
	try {
		const spectator = await open(`${play}?watch=${encodeURIComponent(name)}`);
		await until(() => /confirm/i.test(screen), 'the terminal asks for the confirmation');
		await spectator.getByText('turns an hourglass').first().waitFor();
		type('confirm');
		let game = await when(g => g.room?.monster && g.room.inventoryItems);
		await spectator.getByText(game.room.inventoryItems).first().waitFor();
		type(`get ${game.room.inventoryItems}`);
		type(`kill ${game.room.monster} with ${game.room.inventoryItems}`);
		await spectator.locator('.thing.slain').waitFor();
		game = await when(g => !g.monster.isAlive && g.room.inventoryItems);
		type(`get ${game.room.inventoryItems}`);
		await spectator.getByRole('heading', { name: `${name} has won!` }).waitFor();
		await until(() => /has won/i.test(screen), 'the terminal tells of the victory');
		assert.deepEqual(spectator.problems, []);
		await spectator.context().close();
	} catch (error) {
		console.log(`# the terminal: ${screen.slice(-2000)}`);
		throw error;
	} finally {
		terminal.kill();
	}
});

test('a name that is markup, a statement and a path is only a name', async () => {
	const name = someName(`<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'; DROP TABLE dungeon.game; -- ../%2e%2e/?a=b#c\\`);
	const page = await open(`${play}?new`);
	await knock(page, name);
	await playOn(page);
	await page.locator('.end.won').waitFor();
	assert.equal(await page.locator('#player-name').innerText(), name);
	assert.equal(await page.evaluate(() => window.pwned), undefined);
	assert.equal(await page.locator('main img, main script').count(), 0);
	for (const path of ['/play?new', '/console', '/workflows']) {
		const other = await openIn(page.context(), address + path);
		await other.waitForTimeout(500);
		assert.equal(await other.evaluate(() => window.pwned), undefined, path);
		assert.deepEqual(other.problems, []);
	}
	// The id of the instance has parts of the name.
	await page.getByRole('link', { name: 'Open in the monitor' }).first().click();
	await page.getByRole('heading', { name: 'History' }).waitFor();
	assert.equal(await page.evaluate(() => window.pwned), undefined);
	assert.deepEqual(page.problems, []);
	await page.context().close();
});

test('a game is played with the keyboard alone', async () => {
	const name = someName();
	const page = await open(`${play}?new`);
	const focused = () => page.evaluate(() => document.activeElement.id);
	assert.equal(await focused(), 'name', 'the first field has the focus');
	await page.keyboard.type(name);
	await page.keyboard.press('Enter');
	await page.getByRole('button', { name: 'Let me in!' }).waitFor();
	const type = async words => {
		await page.keyboard.press('/');
		await until(async () => await focused() === 'command', 'the command line has the focus');
		await page.keyboard.type(words);
		await page.keyboard.press('Enter');
		await page.keyboard.press('Escape');
	};
	await type('conf');
	await page.getByRole('button', { name: /^Get the / }).waitFor();
	const weapon = (await page.locator('.thing', { hasText: 'weapon, lies here' }).locator('b').innerText());
	await type(`get ${weapon.toLowerCase().split(' ').at(-1)}`);
	await page.getByRole('button', { name: /^Kill the / }).waitFor();
	await page.keyboard.press('1');
	await page.getByRole('button', { name: /^Get the / }).waitFor();
	await type('dance');
	assert.match(await page.locator('#answer').innerText(), /nothing that can be done/);
	// With Tab to the button.
	for (let i = 0; i < 60 && !/^Get the/.test(await page.evaluate(() => document.activeElement.textContent)); i++)
		await page.keyboard.press('Tab');
	await page.keyboard.press('Enter');
	await page.getByRole('heading', { name: `${name} has won!` }).waitFor();
	await page.keyboard.press('?');
	await page.getByRole('dialog').getByText('Keyboard shortcuts').waitFor();
	await page.keyboard.press('Escape');
	await page.evaluate(() => document.activeElement.blur());
	await page.keyboard.press('g');
	await page.keyboard.press('w');
	await page.waitForURL(/\/workflows$/);
	await page.context().close();
});

test('a page that was written for the original, opened from a file, plays a whole game', async () => {
	const name = someName('Joan O\'Arc');
	const file = join(mkdtempSync(join(tmpdir(), 'original-')), 'page.html');
	writeFileSync(file, `<!doctype html><title>original</title><pre id=log></pre><script>
		const B = ${JSON.stringify(address)}, name = ${JSON.stringify(name)}, N = encodeURIComponent(name);
		const flows = ['UserConfirmationWorkflow', 'UserMonitorWorkflow', 'GameMonitorWorkflow', 'RunUserParallelWorkflow', 'RunUserSequentialWorkflow'];
		const log = text => { document.getElementById('log').textContent += text + '\\n'; };
		const post = (path, body) => fetch(B + path, { method: 'POST', body: JSON.stringify(body) }).then(r => r.status);
		let step = 0, game = null, seen = {};
		async function poll() {
			const r = await fetch(B + '/api/GameStatus/' + N);
			game = r.ok ? await r.json() : null;
			for (const f of flows) { const s = await fetch(B + '/api/CheckStatus/' + N + '/' + f); if (s.ok) seen[f] = (await s.json()).status; }
			const items = game ? game.user.inventoryItems.split(',').filter(Boolean) : [];
			if (step === 0) { log('new ' + await post('/api/NewUser', { name })); step = 1; }
			else if (step === 1 && seen.UserConfirmationWorkflow === 'Running') { const s = await post('/API/confirmuser', { name }); if (s === 200) { log('confirm 200'); step = 2; } }
			else if (step === 2 && game.room.inventoryItems && game.room.monster) { log('get ' + await post('/api/Action', { name, action: 'get', target: game.room.inventoryItems })); step = 3; }
			else if (step === 3 && items.length === 1) { log('kill ' + await post('/api/action', { name, action: 'kill', target: game.room.monster, with: items[0] })); step = 4; }
			else if (step === 4 && !game.monster.isAlive && game.room.inventoryItems) { log('get ' + await post('/api/Action', { name, action: 'get', target: game.room.inventoryItems })); step = 5; }
			else if (items.length === 2 && seen.GameMonitorWorkflow === 'Completed') { log('won'); clearInterval(timer); }
		}
		const timer = setInterval(() => poll().catch(e => log(String(e))), 500);
	</script>`);
	const page = await open(`file://${file}`);
	await page.getByText('won').waitFor();
	assert.equal((await page.locator('#log').innerText()).trim(), 'new 200\nconfirm 200\nget 200\nkill 200\nget 200\nwon');
	await page.context().close();
});
