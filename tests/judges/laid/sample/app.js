import { sentence } from "./part.js";

document.getElementById("module").textContent = sentence;
