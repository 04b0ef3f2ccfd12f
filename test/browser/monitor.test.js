/* The monitor: finding an instance, every action, what is empty, gone or forbidden. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { accessible, gateway, longestTask, open, psql, someName, startServer, stopServer, until } from './harness.js';

const { address } = await gateway();
const at = path => address + path;
const status = id => psql(`SELECT runtime_status FROM durable.instances WHERE instance_id = '${id}'`);
const becomes = (id, what) => until(async () => await status(id) === what, `${id} is ${what}`);

before(async () => {
	await psql(`CREATE SCHEMA IF NOT EXISTS pages;
		CREATE OR REPLACE FUNCTION pages.patient(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
		BEGIN
			IF n = 1 THEN PERFORM durable.sleep('1 day'); END IF;
			RETURN durable.wait_for_external_event('Go');
		END $$;
		CREATE TABLE IF NOT EXISTS pages.switch (works boolean); DELETE FROM pages.switch; INSERT INTO pages.switch VALUES (false);
		CREATE OR REPLACE FUNCTION pages.charge() RETURNS text LANGUAGE plpgsql AS $$
		BEGIN
			IF NOT (SELECT works FROM pages.switch) THEN RAISE 'the card <b>was</b> declined'; END IF;
			RETURN 'charged';
		END $$;
		CREATE OR REPLACE FUNCTION pages.fragile() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('pages.charge'); END $$;
		CREATE OR REPLACE FUNCTION pages.step(n integer) RETURNS text LANGUAGE sql AS $$ SELECT 'step ' || n $$;
		CREATE OR REPLACE FUNCTION pages.long(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1 .. n LOOP PERFORM durable.call_activity('pages.step', i); END LOOP; RETURN n; END $$;`);
});

async function confirmed(page, button) {
	const dialog = page.getByRole('dialog');
	const sql = await dialog.locator('.shows .sql pre').first().innerText();
	const curl = await dialog.locator('.shows .sql pre').last().innerText();
	await dialog.getByRole('button', { name: button, exact: true }).click();
	await dialog.waitFor({ state: 'detached' });
	return { sql, curl };
}

test('each action of an instance, with its SQL and curl', async () => {
	const id = someName('one').replace(' ', '-');
	const page = await open(at('/workflows'));
	// start
	await page.getByRole('button', { name: 'Start' }).click();
	await page.getByLabel('Orchestration', { exact: true }).last().fill('pages.patient');
	await page.getByLabel('Instance id', { exact: true }).fill(id);
	await page.getByLabel('Input, as JSON').fill('2');
	await accessible(page, 'the dialog of a start');
	const start = await page.getByRole('dialog').locator('.shows .sql pre').first().innerText();
	assert.equal(start, `SELECT durable.start('pages.patient', '2'::jsonb, instance_id => '${id}');`);
	await page.getByRole('dialog').getByRole('button', { name: 'Start' }).click();
	await page.waitForURL(new RegExp(`/workflows/${id}$`));
	await page.getByText('event Go').first().waitFor();
	await page.locator('.code li.lit', { hasText: 'wait_for_external_event' }).waitFor();
	await accessible(page, 'an instance');
	// suspend
	await page.getByRole('button', { name: 'Suspend' }).click();
	await page.getByLabel('Reason').fill("it's lunch");
	await accessible(page, 'the dialog of an action');
	const suspend = await confirmed(page, 'Suspend');
	assert.equal(suspend.sql, `SELECT durable.suspend('${id}', 'it''s lunch');`);
	assert.match(suspend.curl, /^curl -X POST '?http.*\/suspend\?reason=it%27s\+lunch/);
	await becomes(id, 'Suspended');
	await page.getByText("it's lunch").first().waitFor();
	// resume
	await page.getByRole('button', { name: 'Resume' }).click();
	await confirmed(page, 'Resume');
	await becomes(id, 'Running');
	// raise event
	await page.getByRole('button', { name: 'Raise event' }).click();
	assert.equal(await page.getByRole('dialog').getByLabel('Name').inputValue(), 'Go', 'the event that is waited for is proposed');
	await page.getByLabel('Data, as JSON').fill('{"a": [1, "\'"]}');
	const raised = await confirmed(page, 'Raise');
	await becomes(id, 'Completed');
	assert.match(raised.sql, /^SELECT durable\.raise_event\('.*', 'Go', '\{"a":\[1,"''"\]\}'::jsonb\);$/);
	await page.getByText('"a"').first().waitFor();
	// restart
	await page.getByRole('button', { name: 'Restart' }).click();
	await confirmed(page, 'Restart');
	await page.waitForURL(url => url.pathname.startsWith('/workflows/') && !url.pathname.endsWith(id));
	await page.getByText('event Go').first().waitFor();
	const second = decodeURIComponent(new URL(page.url()).pathname.split('/').pop());
	// terminate
	await page.getByRole('button', { name: 'Terminate' }).click();
	await confirmed(page, 'Terminate');
	await becomes(second, 'Terminated');
	// purge
	await page.getByRole('button', { name: 'Purge' }).click();
	await confirmed(page, 'Purge');
	await page.waitForURL(/\/workflows$/);
	assert.equal(await status(second), '');
	// rewind
	const failed = someName('failed').replace(' ', '-');
	await psql(`SELECT durable.start('pages.fragile', instance_id => '${failed}')`);
	await becomes(failed, 'Failed');
	await page.goto(at(`/workflows/${failed}`));
	await page.getByText('the card <b>was</b> declined').first().waitFor();
	await accessible(page, 'an instance that has failed');
	await psql('UPDATE pages.switch SET works = true');
	await page.getByRole('button', { name: 'Rewind' }).click();
	await confirmed(page, 'Rewind');
	await becomes(failed, 'Completed');
	await page.getByText('"charged"').first().waitFor();
	assert.deepEqual(page.problems, []);
	await page.context().close();
});

test('many are selected and terminated, after the words are typed', async () => {
	const prefix = someName('many').replace(' ', '-');
	await psql(`SELECT count(durable.start('pages.patient', 2, instance_id => '${prefix}-' || n)) FROM generate_series(1, 30) n`);
	await becomes(`${prefix}-30`, 'Running');
	const page = await open(at('/workflows'));
	await page.getByLabel('Instance id begins with').fill(`${prefix}-`);
	await page.getByText('30 instances shown').waitFor();
	await accessible(page, 'the list');
	await page.getByLabel('Select all instances that are loaded').check();
	await page.getByText('30 selected').waitFor();
	await page.getByRole('button', { name: 'Terminate', exact: true }).click();
	const dialog = page.getByRole('dialog');
	const go = dialog.getByRole('button', { name: 'Terminate 30 instances' });
	assert.ok(await go.isDisabled(), 'not before the words are typed');
	await dialog.getByLabel(/To go on, type/).fill('terminate 29');
	assert.ok(await go.isDisabled(), 'not with other words');
	await dialog.getByLabel(/To go on, type/).fill('terminate 30');
	await accessible(page, 'the dialog of a bulk action');
	await go.click();
	await page.getByText('30 instances terminated.').waitFor();
	assert.equal(await psql(`SELECT count(*) FROM durable.instances WHERE instance_id LIKE '${prefix}-%' AND runtime_status = 'Terminated'`), '30');
	await page.context().close();
});

test('the one that is stuck is found in three clicks', async () => {
	const name = someName('stuck').replace(' ', '-');
	const among = 100000;
	await psql(`CREATE OR REPLACE FUNCTION pages.stuck() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_for_external_event('NeverSent'); END $$;
		SELECT count(durable.start('pages.patient', 1)) FROM generate_series(1, ${among / 2}) n;
		SELECT durable.start('pages.stuck', instance_id => '${name}');
		SELECT count(durable.start('pages.patient', 1)) FROM generate_series(2, ${among / 2}) n`);
	await becomes(name, 'Running');
	const page = await open(at('/workflows'));
	await page.getByRole('button', { name: 'What they wait for' }).click();
	await page.getByRole('link', { name: 'event NeverSent' }).waitFor();
	await accessible(page, 'what they wait for');
	await page.getByRole('link', { name: 'event NeverSent' }).click();
	await page.getByRole('link', { name }).click();
	await page.getByRole('heading', { name: 'History' }).waitFor();
	await page.context().close();
});

test('filters are in the address, and the list goes on page by page', async () => {
	const page = await open(at('/workflows'));
	await page.getByText('100 instances shown; there are more').waitFor();
	await page.getByRole('button', { name: 'Load more' }).scrollIntoViewIfNeeded();
	await until(async () => Number((await page.locator('.list-foot').innerText()).match(/(\d+) instances/)?.[1]) >= 200, 'the next page is loaded');
	assert.ok(await page.locator('tbody tr').count() < 80, 'rows far away are no elements');
	await page.evaluate(() => scrollTo(0, 0));
	await page.getByRole('button', { name: /Failed/ }).click();
	await page.waitForURL(/status=Failed/);
	await until(async () => await page.locator('tbody .status').evaluateAll(all => all.every(s => s.textContent === 'Failed')), 'only those that have failed');
	await page.getByLabel('Instance id begins with').fill('no-such-thing');
	await page.getByText('Nothing matches').waitFor();
	await accessible(page, 'an empty list');
	await page.getByRole('button', { name: 'Clear the filters' }).click();
	await page.getByText(/instances shown/).waitFor();
	await page.context().close();
});

test('the keys of the list', async () => {
	const page = await open(at('/workflows'));
	await page.getByText(/instances shown/).waitFor();
	await page.keyboard.press('j');
	await page.keyboard.press('j');
	assert.equal(await page.evaluate(() => document.activeElement.dataset.index), '1');
	await page.keyboard.press('x');
	await page.getByText('1 selected').waitFor();
	await page.keyboard.press('Enter');
	await page.waitForURL(/\/workflows\/./);
	await page.getByRole('heading', { name: 'History' }).waitFor();
	await page.keyboard.press('b');
	await page.waitForURL(/\/workflows$/);
	await page.context().close();
});

/* The machine may be busy with other tests, so what is limited is processor time. */
function fluid(what, paint, { cpu, clock }) {
	console.log(`# ${what}: first paint after ${Math.round(paint)} ms, longest task while scrolling ${Math.round(cpu)} ms of processor time, ${Math.round(clock)} ms on the clock`);
	assert.ok(cpu < 100, `no task of ${cpu} ms while scrolling`);
}

test('the list of many instances is fluid', async () => {
	const page = await open(at('/workflows'));
	await page.getByText('100 instances shown; there are more').waitFor();
	const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
	const longest = await longestTask(page, async () => {
		await until(async () => {
			await page.mouse.wheel(0, 2500);
			return Number((await page.locator('.list-foot').innerText()).match(/([\d,]+) instances/)?.[1].replace(',', '')) >= 500;
		}, 'further pages are loaded');
	});
	fluid('the list', paint, longest);
	await page.context().close();
});

test('a history of 5,000 events is fluid', async () => {
	const id = someName('long').replace(' ', '-');
	await psql(`SELECT durable.start('pages.long', 2499, instance_id => '${id}')`);
	await becomes(id, 'Completed');
	const page = await open('about:blank');
	await page.goto(at(`/workflows/${id}`));
	await page.getByText('5,000 events').waitFor();
	const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
	assert.ok(await page.locator('table.history tbody tr').count() < 120, 'rows far away are no elements');
	const longest = await longestTask(page, async () => {
		for (let i = 1; i <= 40; i++) {
			await page.mouse.wheel(0, 2500);
			await page.waitForTimeout(30);
		}
		await page.keyboard.press('End');
		await page.getByText('ExecutionCompleted').waitFor();
	});
	fluid('a history', paint, longest);
	await page.getByRole('button', { name: 'Failed' }).click();
	await page.getByText('Nothing has failed').waitFor();
	await page.getByRole('button', { name: 'All', exact: true }).click();
	await page.evaluate(() => scrollTo(0, 0));
	await page.getByRole('button', { name: 'TaskCompleted' }).first().click();
	await page.getByRole('dialog').getByText('"step 1"').waitFor();
	await accessible(page, 'the inspector');
	assert.deepEqual(page.problems, []);
	await page.context().close();
});

test('each action of schedules and queues, with its SQL and curl', async () => {
	const hasCron = await psql("SELECT count(*) FROM pg_extension WHERE extname = 'pg_cron'") === '1';
	await psql("SELECT durable.register_queue('parcels & co', 2, rate => 5, per => '1 minute')");
	// Without pg_cron a schedule cannot be made or paused, but it can be triggered.
	if (hasCron)
		await psql("SELECT durable.schedule('nightly', '0 3 1-7 * *', 'pages.patient', 2, timezone => 'America/Argentina/Buenos_Aires', overlap => 'skip')");
	else
		await psql(`INSERT INTO durable.schedule (owner, name, cron, orchestration, input, timezone, overlap, catch_up, seen_until)
			VALUES ('dungeon', 'nightly', '0 3 1-7 * *', 'pages.patient', '2', 'America/Argentina/Buenos_Aires', 'skip', '1 hour', durable.clock())`, 'postgres');
	await psql(`CREATE FUNCTION pages.counter(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE plpgsql AS $$
		BEGIN
			IF operation = 'break' THEN RAISE 'the counter is <b>stuck</b>'; END IF;
			RETURN (to_jsonb(coalesce(state::integer, 0) + 1), NULL)::durable.entity_result;
		END $$`);
	await psql("SELECT durable.register_entity('Counter', 'pages.counter(jsonb,text,jsonb)'), durable.signal_entity('Counter', 'doors', 'add'), durable.signal_entity('Counter', 'doors', 'break')");
	const page = await open(at('/queues'));
	const isPaused = () => psql("SELECT is_paused FROM durable.queues WHERE name = 'parcels & co'");

	await page.getByText('2 at a time, 5 per minute').waitFor();
	await page.getByRole('button', { name: 'Pause parcels & co' }).click();
	await accessible(page, 'the dialog of a queue');
	const pause = await confirmed(page, 'Pause');
	assert.equal(pause.sql, "SELECT durable.pause_queue('parcels & co');");
	assert.equal(pause.curl, `curl -X POST ${address}/api/v1/queues/parcels%20%26%20co/pause`);
	await page.getByRole('button', { name: 'Unpause parcels & co' }).waitFor();
	assert.equal(await isPaused(), 't');
	await page.getByRole('button', { name: 'Unpause parcels & co' }).click();
	assert.equal((await confirmed(page, 'Unpause')).sql, "SELECT durable.unpause_queue('parcels & co');");
	await page.getByRole('button', { name: 'Pause parcels & co' }).waitFor();
	assert.equal(await isPaused(), 'f');

	await page.goto(at('/schedules'));
	await page.getByRole('button', { name: 'Trigger nightly' }).click();
	const trigger = await confirmed(page, 'Trigger');
	assert.equal(trigger.sql, "SELECT durable.trigger_schedule('nightly');");
	assert.equal(trigger.curl, `curl -X POST ${address}/api/v1/schedules/nightly/trigger`);
	await page.getByRole('link', { name: /^nightly@/ }).waitFor();
	assert.equal(await psql("SELECT count(*) FROM durable.instances WHERE instance_id LIKE 'nightly@%'"), '1');
	await page.getByRole('button', { name: 'Trigger nightly' }).click();
	await confirmed(page, 'Trigger');
	await page.getByText('The run is skipped').waitFor();
	await page.getByRole('button', { name: 'Pause nightly' }).click();
	if (hasCron)
	{
		const job = () => psql("SELECT j.active FROM cron.job j WHERE j.database = current_database() AND j.username = 'dungeon' AND j.jobname LIKE '%nightly%'");

		assert.equal((await confirmed(page, 'Pause')).sql, "SELECT durable.pause_schedule('nightly');");
		await page.getByText('The schedule is paused.').waitFor();
		await page.getByRole('button', { name: 'Unpause nightly' }).waitFor();
		assert.equal(await job(), 'f', 'the job of pg_cron is inactive');
		assert.match(await page.getByRole('button', { name: 'Trigger nightly' }).getAttribute('title'), /stays paused/);
		await page.getByRole('button', { name: 'Trigger nightly' }).click();
		await page.getByRole('dialog').getByText('The schedule is paused: this runs it once, and it stays paused.').waitFor();
		await accessible(page, 'the dialog of a schedule that is paused');
		await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
		await page.getByRole('button', { name: 'Unpause nightly' }).click();
		const unpause = await confirmed(page, 'Unpause');
		assert.equal(unpause.sql, "SELECT durable.unpause_schedule('nightly');");
		assert.equal(unpause.curl, `curl -X POST ${address}/api/v1/schedules/nightly/unpause`);
		await page.getByRole('button', { name: 'Pause nightly' }).waitFor();
		assert.equal(await job(), 't', 'the job of pg_cron is active again');
		assert.equal(await page.getByRole('button', { name: 'Trigger nightly' }).getAttribute('title'), null);
	}
	else
	{
		await page.getByRole('dialog').getByText("SELECT durable.pause_schedule('nightly');").waitFor();
		await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click();
		await page.getByRole('dialog').getByText(/schedules need pg_cron/).waitFor();
		await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
	}

	await page.goto(at('/entities'));
	await page.getByText('doors').waitFor();
	await page.getByText('last failure: the counter is <b>stuck</b>').waitFor();
	assert.deepEqual(page.problems, []);
	await page.context().close();
});

test('all other pages, light and dark, wide and narrow', async () => {
	await psql("SELECT durable.register_queue('letters-to-everybody-who-has-not-answered', 2, description => 'Reminders, which are sent once a week')");
	for (const [width, colorScheme] of [[1280, 'light'], [1024, 'dark'], [768, 'dark'], [360, 'light'], [320, 'dark']]) {
		const page = await open(at('/workflows'), { viewport: { width, height: 800 }, colorScheme, reducedMotion: 'reduce' });
		for (const path of ['/workflows', '/workflows?view=waiting', '/schedules', '/queues', '/entities', '/workers', '/console', '/play?new']) {
			await page.goto(at(path));
			await page.locator('.bones').waitFor({ state: 'detached' });
			await page.locator('main h1').first().waitFor();
			await accessible(page, `${path} at ${width}, ${colorScheme}`);
			const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
			assert.ok(over <= 0, `${path} at ${width} is ${over} pixels too wide`);
			const hidden = await page.locator('.scroll-x').evaluateAll(all => all.filter(e => e.scrollWidth > e.clientWidth).length);
			assert.equal(hidden, 0, `no table of ${path} at ${width} goes on beyond the window`);
		}
		assert.deepEqual(page.problems, []);
		await page.context().close();
	}
});

test('the server goes and comes back', async () => {
	const page = await open(at('/workflows'));
	await page.getByText(/instances shown/).waitFor();
	await stopServer();
	await page.getByText('The server is gone.').waitFor();
	const fresh = await open(at('/workers'));
	await fresh.getByText('The server cannot be reached').waitFor();
	await accessible(fresh, 'a page that was opened while the server is gone');
	await startServer();
	await page.getByText(/The server is back/).waitFor();
	await fresh.getByRole('heading', { name: 'Doctor' }).waitFor();
	await page.context().close();
	await fresh.context().close();
});

test('a gateway that wants a token, and a role that may not', async () => {
	const keyed = await gateway('--key', 'a key of sixteen characters');
	const page = await open(`${keyed.address}/workflows`);
	await page.getByRole('dialog').getByLabel('Key').fill('a key of sixteen characters');
	await page.getByRole('dialog').getByRole('button', { name: 'Go on' }).click();
	await page.getByText(/instances shown/).waitFor();
	await page.context().close();
	const player = await gateway('--role', 'player');
	const other = await open(`${player.address}/workflows`);
	await other.getByText('Not for this role').waitFor();
	await accessible(other, 'a page that the role may not see');
	await other.context().close();
});
