#include "serve/page.h"

namespace pare {

std::string_view compare_page() {
  return R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pare</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.45 system-ui, sans-serif; }
  body { max-width: 76rem; margin: 0 auto; padding: 1rem; }
  h1 { font-size: 1.3rem; margin: 0 0 .8rem; }
  textarea { width: 100%; box-sizing: border-box; font: inherit; }
  .row { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; align-items: center; margin: .5rem 0; }
  .row input[type=number] { width: 5.5rem; }
  #answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
  article { border: 1px solid #8886; border-radius: .5rem; padding: .7rem .9rem; }
  h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
  .note { color: #777; font-size: .85rem; min-height: 1.3em; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; margin: .4rem 0 0; }
  .error { color: #c33; }
</style>
</head>
<body>
<h1>pare: the same prompt for every model</h1>
<form id="form">
  <textarea id="prompt" rows="4" placeholder="A message, or the beginning of a text" required></textarea>
  <div class="row" id="models"></div>
  <div class="row">
    <label><input type="radio" name="kind" value="chat" checked> chat</label>
    <label><input type="radio" name="kind" value="text"> continue the text</label>
    <label>tokens <input id="tokens" type="number" min="1" value="200"></label>
    <label>temperature <input id="temperature" type="number" min="0" step="0.1" value="0"></label>
    <label>seed <input id="seed" type="number" value="0"></label>
    <label>API key <input id="key" type="password" size="10" autocomplete="off"></label>
    <button id="run">Run</button>
    <button id="stop" type="button" disabled>Stop</button>
  </div>
</form>
<div id="answers"></div>
<script>
"use strict";
const $ = (id) => document.getElementById(id);
const sizes = {};  // what a model takes, in words
let running = null;

function headers() {
  const all = {"Content-Type": "application/json"};
  if ($("key").value) all.Authorization = "Bearer " + $("key").value;
  return all;
}

async function failure(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return "HTTP status " + response.status;
  }
}

async function listModels() {
  const response = await fetch("v1/models", {headers: headers()});
  $("models").replaceChildren();
  if (!response.ok) {
    $("models").textContent = await failure(response);
    return;
  }
  for (const model of (await response.json()).data) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.value = model.id;
    sizes[model.id] = `${(model.parameters / 1e6).toPrecision(4)} M parameters, ` +
                      `${(model.bytes_per_token / 1e6).toPrecision(4)} MB of weights a token`;
    label.append(box, " " + model.id);
    $("models").append(label);
  }
}

// The data of every server-sent event.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    pending += value;
    const parts = pending.split("\n\n");
    pending = parts.pop();
    for (const part of parts)
      if (part.startsWith("data: ")) yield part.slice(6);
  }
}

function card(id) {
  const article = document.createElement("article");
  const title = document.createElement("h2");
  const size = document.createElement("div");
  const speed = document.createElement("div");
  const text = document.createElement("pre");
  title.textContent = id;
  size.textContent = sizes[id];
  size.className = speed.className = "note";
  article.append(title, size, speed, text);
  $("answers").append(article);
  return {speed, text};
}

async function ask(id, {speed, text}, signal) {
  const chat = document.querySelector("input[name=kind]:checked").value === "chat";
  const prompt = $("prompt").value;
  const body = {
    model: id, stream: true, stream_options: {include_usage: true},
    max_tokens: Number($("tokens").value), temperature: Number($("temperature").value),
    seed: Number($("seed").value),
  };
  if (chat) body.messages = [{role: "user", content: prompt}];
  else body.prompt = prompt;
  speed.textContent = "…";
  const response = await fetch(chat ? "v1/chat/completions" : "v1/completions",
                               {method: "POST", headers: headers(), body: JSON.stringify(body), signal});
  if (!response.ok) throw new Error(await failure(response));
  for await (const data of events(response)) {
    if (data === "[DONE]") break;
    const event = JSON.parse(data);
    if (event.error) throw new Error(event.error.message);
    for (const choice of event.choices) text.append(chat ? choice.delta.content ?? "" : choice.text);
    if (event.usage) {
      const {prompt_tokens: before, completion_tokens: after} = event.usage;
      const rate = event.timings.decode_tokens_per_second.toFixed(1);
      speed.textContent = `${before} + ${after} tokens, ${rate} tokens/s`;
    }
  }
}

// One model after another: side by side each would slow down the others.
$("form").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  running = new AbortController();
  $("run").disabled = true;
  $("stop").disabled = false;
  $("answers").replaceChildren();
  const chosen = [...document.querySelectorAll("#models input:checked")].map((box) => box.value);
  const cards = chosen.map(card);
  for (let i = 0; i < chosen.length && !running.signal.aborted; ++i) {
    try {
      await ask(chosen[i], cards[i], running.signal);
    } catch (error) {
      cards[i].speed.textContent = running.signal.aborted ? "stopped" : error.message;
      cards[i].speed.classList.toggle("error", !running.signal.aborted);
    }
  }
  $("run").disabled = false;
  $("stop").disabled = true;
});
$("stop").addEventListener("click", () => running?.abort());
$("key").addEventListener("change", listModels);
listModels();
</script>
</body>
</html>
)html";
}

}  // namespace pare
