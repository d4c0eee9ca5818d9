// Draws the list or one post from the API; when it is done, <html> and #app carry data-ready.
"use strict";
const app = document.getElementById("app");

// 32-bit FNV-1a of the request target: the API answers no one else.
function token(target) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(target)) value = Math.imul(value ^ byte, 0x01000193);
  return (value >>> 0).toString(16).padStart(8, "0");
}

async function get(target) {
  const response = await fetch(target, { headers: { "X-Demo-Token": token(target) } });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return response.json();
}

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text, ...properties });
}

function ready(state) {
  document.documentElement.dataset.ready = app.dataset.ready = state;
}

async function showList() {
  const list = element("ul", "");
  const more = element("button", "نمایش بیشتر", { id: "more" });
  let page = 0;
  more.onclick = async () => {
    more.disabled = true;
    const part = await get(`/api/posts?page=${++page}`);
    for (const post of part.items) {
      const item = element("li", "");
      item.append(element("a", post.title, { href: `/post/${post.id}` }));
      list.append(item);
    }
    more.disabled = false;
    if (!part.more) more.remove();
  };
  app.replaceChildren(list, more);
  await more.onclick();
  ready("list");
}

async function showPost(id) {
  const post = await get(`/api/post/${id}`);
  document.title = post.title;
  app.replaceChildren(
    element("h1", post.title),
    element("div", post.question, { className: "question" }),
    element("div", post.answer, { className: "answer" }),
  );
  ready("post");
}

const post = location.pathname.match(/^\/post\/(\d+)$/);
(post ? showPost(post[1]) : showList()).catch((error) => {
  app.textContent = `خطا: ${error.message}`;
  ready("error");
});
