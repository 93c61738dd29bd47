// SPDX-License-Identifier: ISC
// A browser for pages.py: takes commands, each a line of JSON, and answers each
// with one.  Arguments: where npm has put its modules; the browser.
'use strict';
const [modules, executablePath] = process.argv.slice(2);
const {chromium} = require(`${modules}/playwright-core`);
const axe = require('fs').readFileSync(`${modules}/axe-core/axe.min.js`, 'utf8');

let browser, context, page, said;

const commands = {
	// a page, and all that it complains about or asks for
	async open({file, url, width, dark, print, js}) {
		const at = url || `file://${file}`;
		if (context)
			await context.close();
		context = await browser.newContext({javaScriptEnabled: js !== false,
		    colorScheme: dark ? 'dark' : 'light', offline: !url,
		    viewport: {width: width || 1100, height: 900}});
		page = await context.newPage();
		page.setDefaultTimeout(20000);
		said = [];
		page.on('console', (m) => said.push(`console: ${m.text()}`));
		page.on('pageerror', (e) => said.push(`error: ${e.message}`));
		page.on('dialog', (d) => said.push(`dialog: ${d.message()}`) && d.dismiss());
		page.on('request', (r) => (url ? r.url().startsWith(new URL(url).origin) :
		    r.url() === at) || said.push(`request: ${r.url()}`));
		await page.goto(at);
		if (print)
			await page.emulateMedia({media: 'print'});
	},
	said: () => said,
	eval: ({code}) => page.evaluate(code),
	// by itself: the page's policy allows nobody to make code of a string
	async wait({code}) {
		for (const end = Date.now() + 20000; !await page.evaluate(code);
		    await page.waitForTimeout(50))
			if (Date.now() > end)
				throw new Error(`it never came: ${code}`);
	},
	// on this page, or on one that follows it by itself
	async comes({text}) {
		for (const end = Date.now() + 60000;; await page.waitForTimeout(100)) {
			const seen = await page.innerText('body').catch(() => '');
			if (seen.includes(text))
				return;
			if (Date.now() > end)
				throw new Error(`it never came: ${text}: ${seen}`);
		}
	},
	async type_into({what, text}) {
		await page.click(what);
		await page.keyboard.type(text);
	},
	press: ({key}) => page.keyboard.press(key),
	type: ({text}) => page.keyboard.type(text),
	click: ({what}) => page.click(what),
	text: () => page.innerText('body'),
	shot: ({to, clip}) => page.screenshot({path: to, clip, fullPage: !clip}),
	async pdf({to}) {
		await page.pdf({path: to, format: 'A4', printBackground: true});
	},
	async axe() {
		let r;
		// a page may give way to the next meanwhile
		for (let left = 5; !r; left--)
			try {
				await page.evaluate(axe);
				r = await page.evaluate('axe.run()');
			} catch (e) {
				if (left === 0 || !/navigation/.test(e.message))
					throw e;
			}
		return r.violations.map((v) => `${v.impact} ${v.id}: ` +
		    v.nodes.map((n) => n.html).join(' ').slice(0, 300));
	},
};

async function main() {
	browser = await chromium.launch({executablePath, timeout: 60000,
	    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu']});
	for await (const line of require('readline').createInterface(process.stdin)) {
		const c = JSON.parse(line);
		let answer;
		try {
			answer = {value: await commands[c.do](c) ?? null};
		} catch (e) {
			answer = {error: String(e)};
		}
		console.log(JSON.stringify(answer));
	}
	await browser.close();
}
main().catch((e) => {
	console.error(e);
	process.exit(1);
});
